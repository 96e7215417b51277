"""The sizes the format allows, checked before anything is allocated (proto/BITSTREAM.md, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

MIN_SIDE = 64
MAX_SIDE = 4096
MAX_QUALITY = 7


@dataclass(frozen=True)
class Limits:
    """Bound what a reader accepts.

    Attributes:
        packet_bytes: largest packet, its header included.
        sections: most extension sections in one packet.
    """

    packet_bytes: int = 1 << 20
    sections: int = 64


DEFAULT_LIMITS = Limits()
