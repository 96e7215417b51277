"""What is constant over a session and therefore not in its packets (proto/BITSTREAM.md, section 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from common.bitstream.limits import MAX_SIDE, MIN_SIDE
from common.errors import FrameSizeError

BUNDLE_ID_BYTES = 8


@dataclass(frozen=True)
class SessionFacts:
    """Hold the facts a packet is bound to by its checksum.

    Attributes:
        bundle_id: 8 bytes, names the model bundle.
        height: of the frame, in pixels, 64 to 4096.
        width: of the frame, in pixels, 64 to 4096.
    """

    bundle_id: bytes
    height: int
    width: int

    def __post_init__(self) -> None:
        """Check the facts.

        Raises:
            FrameSizeError: height or width is out of bounds.
            ValueError: the bundle id is not 8 bytes.
        """
        if not (MIN_SIDE <= self.height <= MAX_SIDE and MIN_SIDE <= self.width <= MAX_SIDE):
            raise FrameSizeError(
                self.height, self.width, f"each side must be {MIN_SIDE} to {MAX_SIDE} pixels"
            )
        if len(self.bundle_id) != BUNDLE_ID_BYTES:
            raise ValueError(f"bundle id must be {BUNDLE_ID_BYTES} bytes, not {len(self.bundle_id)}")

    def checksum_prefix(self) -> bytes:
        """Return the 12 bytes that every packet's checksum starts with."""
        return self.bundle_id + struct.pack("<HH", self.height, self.width)
