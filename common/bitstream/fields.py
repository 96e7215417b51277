"""Header fields, declared once: name, place, width and range (proto/BITSTREAM.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import FieldOutOfRange


@dataclass(frozen=True)
class Field:
    """Declare an unsigned little-endian number in a header.

    Attributes:
        name: as in the specification.
        offset: of its first byte.
        width_bytes: how many bytes it takes.
        low: smallest value allowed.
        high: largest value allowed.
    """

    name: str
    offset: int
    width_bytes: int
    low: int
    high: int

    def read(self, header: bytes) -> int:
        """Return the field's value.

        Raises:
            FieldOutOfRange: it is not in `low`..`high`.
        """
        value = int.from_bytes(header[self.offset : self.offset + self.width_bytes], "little")
        self.check(value)
        return value

    def check(self, value: int) -> None:
        """Check that a value is allowed.

        Raises:
            FieldOutOfRange: it is not in `low`..`high`.
        """
        if not self.low <= value <= self.high:
            raise FieldOutOfRange(self.name, value, f"{self.low}..{self.high}")


def write_fields(fields: Sequence[Field], values: Mapping[str, int], header: bytearray) -> None:
    """Write each field's value to its place in `header`.

    Raises:
        FieldOutOfRange: a value is not allowed.
    """
    for one in fields:
        one.check(values[one.name])
        header[one.offset : one.offset + one.width_bytes] = values[one.name].to_bytes(
            one.width_bytes, "little"
        )
