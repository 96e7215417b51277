"""Extension sections: type, length, bytes (proto/BITSTREAM.md, section 4.2).

Version 1 defines none; the room is for later versions of the encoder that old decoders should survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.bitstream.limits import Limits
from common.errors import CorruptPayload, Oversize, Truncated, UnknownSection

END_TYPE = 0
FIRST_MANDATORY_TYPE = 128
MAX_VARINT_BYTES = 3
"""A length of three groups of seven bits: up to 2 MiB, past any packet limit."""


@dataclass(frozen=True)
class Section:
    """Hold one section.

    Attributes:
        type: 1..127 may be skipped by a decoder that does not know it, 128..255 may not.
        data: its content.
    """

    type: int
    data: bytes

    def __post_init__(self) -> None:
        """Check the type.

        Raises:
            ValueError: it is not 1..255.
        """
        if not END_TYPE < self.type <= 255:
            raise ValueError(f"section type {self.type} is not in 1..255")


def serialize_varint(value: int) -> bytes:
    """Return `value` as an unsigned LEB128 number in its shortest form.

    Raises:
        Oversize: it needs more than three bytes.
    """
    if not 0 <= value < 1 << (7 * MAX_VARINT_BYTES):
        raise Oversize(value, (1 << (7 * MAX_VARINT_BYTES)) - 1)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def parse_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return the number at `offset` and the offset after it.

    Raises:
        Truncated: the data ends inside it.
        CorruptPayload: it is longer than three bytes, or not in its shortest form.
    """
    value = 0
    for index in range(MAX_VARINT_BYTES):
        if offset + index >= len(data):
            raise Truncated(offset + index + 1, len(data))
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise CorruptPayload(f"section length {value} is not in its shortest form")
            return value, offset + index + 1
    raise CorruptPayload(f"section length takes more than {MAX_VARINT_BYTES} bytes")


def serialize_sections(sections: Sequence[Section]) -> bytes:
    """Return the sections followed by the end mark."""
    parts = [bytes((s.type,)) + serialize_varint(len(s.data)) + s.data for s in sections]
    return b"".join(parts) + bytes((END_TYPE,))


def parse_sections(data: bytes, offset: int, limits: Limits) -> tuple[tuple[Section, ...], int]:
    """Return the sections that start at `offset`, and the offset after their end mark.

    Optional sections of unknown type are kept, so that they can be shown or passed on.

    Raises:
        Truncated: the data ends before the end mark.
        Oversize: there are more sections than `limits` allows.
        UnknownSection: a mandatory type (128 and above), none of which this version knows.
        CorruptPayload: a length is malformed.
    """
    sections: list[Section] = []
    while True:
        if offset >= len(data):
            raise Truncated(offset + 1, len(data))
        section_type = data[offset]
        offset += 1
        if section_type == END_TYPE:
            return tuple(sections), offset
        if section_type >= FIRST_MANDATORY_TYPE:
            raise UnknownSection(section_type)
        if len(sections) >= limits.sections:
            raise Oversize(len(sections) + 1, limits.sections)
        length, offset = parse_varint(data, offset)
        if offset + length > len(data):
            raise Truncated(offset + length, len(data))
        sections.append(Section(section_type, data[offset : offset + length]))
        offset += length
