"""The container: one packet in a file of its own, with the facts a session would have said (`.mdic`).

A header of 26 bytes (proto/BITSTREAM.md, section 2), then the packet, then nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.bitstream.checksum import crc32c
from common.bitstream.fields import Field, write_fields
from common.bitstream.limits import DEFAULT_LIMITS, MAX_SIDE, MIN_SIDE, Limits
from common.bitstream.packet import PACKET_HEADER_BYTES, Packet
from common.bitstream.session import BUNDLE_ID_BYTES, SessionFacts
from common.errors import BadMagic, ChecksumMismatch, ForeignBundle, Oversize, Truncated, UnknownVersion

MAGIC = b"MDIC"
CONTAINER_VERSION = 1
HEADER_BYTES = 26

VERSION = Field("version", 4, 1, 0, 255)
RESERVED = Field("reserved", 5, 1, 0, 0)
HEIGHT = Field("height", 6, 2, MIN_SIDE, MAX_SIDE)
WIDTH = Field("width", 8, 2, MIN_SIDE, MAX_SIDE)
BUNDLE_ID_OFFSET = 10
PACKET_BYTES = Field("packet_bytes", 18, 4, PACKET_HEADER_BYTES, (1 << 32) - 1)
CHECKSUM = Field("checksum", 22, 4, 0, (1 << 32) - 1)


@dataclass(frozen=True)
class Container:
    """Hold a session's facts and one packet's bytes.

    Attributes:
        session: bundle and frame size.
        packet: the packet's bytes, not parsed.
    """

    session: SessionFacts
    packet: bytes

    def serialize(self, limits: Limits = DEFAULT_LIMITS) -> bytes:
        """Return the file's bytes.

        Raises:
            Oversize: the packet is larger than `limits`.
            FieldOutOfRange: the packet is shorter than its own header.
        """
        if len(self.packet) > limits.packet_bytes:
            raise Oversize(len(self.packet), limits.packet_bytes)
        header = bytearray(HEADER_BYTES)
        header[: len(MAGIC)] = MAGIC
        header[BUNDLE_ID_OFFSET : BUNDLE_ID_OFFSET + BUNDLE_ID_BYTES] = self.session.bundle_id
        values = {
            "version": CONTAINER_VERSION,
            "reserved": 0,
            "height": self.session.height,
            "width": self.session.width,
            "packet_bytes": len(self.packet),
        }
        write_fields((VERSION, RESERVED, HEIGHT, WIDTH, PACKET_BYTES), values, header)
        write_fields((CHECKSUM,), {"checksum": crc32c(bytes(header[: CHECKSUM.offset]))}, header)
        return bytes(header) + self.packet

    @classmethod
    def parse(
        cls, data: bytes, limits: Limits = DEFAULT_LIMITS, expected_bundle: bytes | None = None
    ) -> Container:
        """Read a file.

        Args:
            data: the whole file.
            limits: what to accept.
            expected_bundle: id of the bundle that is loaded; None accepts any.

        Raises:
            BadMagic: not one of our files.
            UnknownVersion: of a later format.
            Truncated: the header or the packet is incomplete.
            ChecksumMismatch: the header is damaged.
            FieldOutOfRange: height, width, length or the reserved byte has a value that is not allowed.
            Oversize: the packet is larger than `limits`, or bytes follow it.
            ForeignBundle: made with another bundle than expected.
        """
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise BadMagic(data[: len(MAGIC)])
        if len(data) > VERSION.offset and data[VERSION.offset] != CONTAINER_VERSION:
            raise UnknownVersion(data[VERSION.offset], CONTAINER_VERSION)
        if len(data) < HEADER_BYTES:
            raise Truncated(HEADER_BYTES, len(data))
        header = bytes(data[:HEADER_BYTES])
        stated, checksum = CHECKSUM.read(header), crc32c(header[: CHECKSUM.offset])
        if stated != checksum:
            raise ChecksumMismatch(stated, checksum)
        RESERVED.read(header)
        height, width, packet_bytes = HEIGHT.read(header), WIDTH.read(header), PACKET_BYTES.read(header)
        if packet_bytes > limits.packet_bytes:
            raise Oversize(packet_bytes, limits.packet_bytes)
        if len(data) != HEADER_BYTES + packet_bytes:
            if len(data) < HEADER_BYTES + packet_bytes:
                raise Truncated(HEADER_BYTES + packet_bytes, len(data))
            raise Oversize(len(data), HEADER_BYTES + packet_bytes)
        bundle_id = header[BUNDLE_ID_OFFSET : BUNDLE_ID_OFFSET + BUNDLE_ID_BYTES]
        if expected_bundle is not None and bundle_id != expected_bundle:
            raise ForeignBundle(bundle_id.hex(), expected_bundle.hex())
        return cls(SessionFacts(bundle_id, height, width), bytes(data[HEADER_BYTES:]))

    def parse_packet(self, limits: Limits = DEFAULT_LIMITS) -> Packet:
        """Read the packet inside; raises what `Packet.parse` does."""
        return Packet.parse(self.packet, self.session, limits)
