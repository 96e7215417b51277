"""The packet: one frame of the main view as it travels in a session (proto/BITSTREAM.md, section 4).

byte 0      version (4 bits) | quality (3 bits) | extended (1 bit)
bytes 1-2   checksum, little endian
[flags, sections, end mark]    only when extended
payload     to the end of the packet
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from common.bitstream.checksum import crc32c
from common.bitstream.limits import DEFAULT_LIMITS, MAX_QUALITY, Limits
from common.bitstream.sections import Section, parse_sections, serialize_sections
from common.bitstream.session import SessionFacts
from common.errors import (
    ChecksumMismatch,
    CorruptPayload,
    FieldOutOfRange,
    Oversize,
    Truncated,
    UnknownVersion,
)

PACKET_VERSION = 1
PACKET_HEADER_BYTES = 3
MANDATORY_FLAGS = 0xF0
"""Flags a decoder must understand; version 1 knows none. The other four may be ignored."""


@dataclass(frozen=True)
class Packet:
    """Hold one coded frame.

    Attributes:
        quality: index 0 (fewest bytes) to 7.
        payload: the range coder's bytes.
        flags: 8 bits, 0 in version 1.
        sections: extensions, usually none.
    """

    quality: int
    payload: bytes
    flags: int = 0
    sections: tuple[Section, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            ValueError: quality or flags do not fit their bits.
        """
        if not 0 <= self.quality <= MAX_QUALITY:
            raise ValueError(f"quality {self.quality} is not in 0..{MAX_QUALITY}")
        if not 0 <= self.flags <= 255:
            raise ValueError(f"flags {self.flags} are not one byte")

    def __str__(self) -> str:
        """Describe the packet for a log, in one short line."""
        extended = f" flags=0x{self.flags:02x} sections={len(self.sections)}" if self.is_extended else ""
        return f"Packet(quality={self.quality} payload={len(self.payload)} bytes{extended})"

    @property
    def is_extended(self) -> bool:
        """True when flags or sections have to be sent."""
        return self.flags != 0 or bool(self.sections)

    def serialize(self, session: SessionFacts, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Return the packet's bytes in `session`.

        Raises:
            Oversize: a reader with these limits would refuse it.
        """
        if len(self.sections) > limits.sections:
            raise Oversize(len(self.sections), limits.sections)
        extension = bytes((self.flags,)) + serialize_sections(self.sections) if self.is_extended else b""
        size = PACKET_HEADER_BYTES + len(extension) + len(self.payload)
        if size > limits.packet_bytes:
            raise Oversize(size, limits.packet_bytes)
        first = PACKET_VERSION << 4 | self.quality << 1 | int(self.is_extended)
        body = extension + self.payload
        return struct.pack("<BH", first, packet_checksum(session, first, body)) + body

    @classmethod
    def parse(cls, data: bytes, session: SessionFacts, limits: Limits = DEFAULT_LIMITS) -> Packet:
        """Read a packet of `session`.

        Raises:
            Oversize: larger than `limits`, or with too many sections.
            Truncated: shorter than a header, or its sections run past the end.
            UnknownVersion: of a later format.
            ChecksumMismatch: damaged, or made for another bundle or frame size.
            FieldOutOfRange: a flag is set that a decoder must understand and this one does not.
            UnknownSection: a section that a decoder must understand.
            CorruptPayload: the extension is malformed.
        """
        if len(data) > limits.packet_bytes:
            raise Oversize(len(data), limits.packet_bytes)
        if not data:
            raise Truncated(PACKET_HEADER_BYTES, 0)
        if data[0] >> 4 != PACKET_VERSION:
            raise UnknownVersion(data[0] >> 4, PACKET_VERSION)
        if len(data) < PACKET_HEADER_BYTES:
            raise Truncated(PACKET_HEADER_BYTES, len(data))
        first, stated = struct.unpack_from("<BH", data)
        checksum = packet_checksum(session, first, data[PACKET_HEADER_BYTES:])
        if stated != checksum:
            raise ChecksumMismatch(stated, checksum)
        quality = first >> 1 & MAX_QUALITY
        if not first & 1:
            return cls(quality, bytes(data[PACKET_HEADER_BYTES:]))
        if len(data) == PACKET_HEADER_BYTES:
            raise Truncated(PACKET_HEADER_BYTES + 1, PACKET_HEADER_BYTES)
        flags = data[PACKET_HEADER_BYTES]
        if flags & MANDATORY_FLAGS:
            raise FieldOutOfRange("flags", flags, "the upper four bits clear")
        sections, offset = parse_sections(data, PACKET_HEADER_BYTES + 1, limits)
        if flags == 0 and not sections:
            raise CorruptPayload("packet is marked as extended but extends nothing")
        return cls(quality, bytes(data[offset:]), flags, sections)


def packet_checksum(session: SessionFacts, first: int, body: bytes) -> int:
    """Return the 16-bit checksum over the session's facts, the first byte and all after the header."""
    return crc32c(session.checksum_prefix() + bytes((first,)) + body) & 0xFFFF
