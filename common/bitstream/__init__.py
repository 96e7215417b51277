"""The bytes of a frame: packets in a session, containers on disk (proto/BITSTREAM.md)."""

from common.bitstream.container import HEADER_BYTES, Container
from common.bitstream.limits import DEFAULT_LIMITS, MAX_SIDE, MIN_SIDE, Limits
from common.bitstream.packet import PACKET_HEADER_BYTES, PACKET_VERSION, Packet
from common.bitstream.sections import Section
from common.bitstream.session import SessionFacts

__all__ = [
    "DEFAULT_LIMITS",
    "HEADER_BYTES",
    "MAX_SIDE",
    "MIN_SIDE",
    "PACKET_HEADER_BYTES",
    "PACKET_VERSION",
    "Container",
    "Limits",
    "Packet",
    "Section",
    "SessionFacts",
]
