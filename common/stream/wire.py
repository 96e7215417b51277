"""Turn bytes of the wire into messages and back, refusing what is no message before protobuf unfolds it.

Each message is one member of a oneof, so its bytes are one tag, one length and the rest. Protobuf itself takes
any number of members and keeps the last: 16 MiB of empty ones become 700 MiB of objects. Here anything but
exactly one is refused unread, and so is a member longer than its kind can be.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from common.errors import ProtocolViolation
from common.pb import ingest_pb2
from common.stream.convert import downlink_from_pb, downlink_to_pb, uplink_from_pb, uplink_to_pb
from common.stream.limits import LIMITS, StreamLimits
from common.stream.messages import DownlinkMessage, UplinkMessage

_LENGTH_DELIMITED = 2
_MAX_LENGTH_BYTES = 5
_SMALL = 256
"""Room for the numbers and tags of any message, and all that a ping, pong, hint, end or goodbye holds."""
_BYTES_A_CHARACTER = 4
_RANGE_BYTES = 24


def parse_uplink(data: bytes, limits: StreamLimits = LIMITS) -> UplinkMessage:
    """Return the message that an edge sent.

    Raises:
        ProtocolViolation: the bytes are no message, or a value in it is outside its bounds.
    """
    return uplink_from_pb(unfold_uplink(data, limits), limits)


def unfold_uplink(data: bytes, limits: StreamLimits = LIMITS) -> ingest_pb2.Uplink:
    """Return the protobuf form of what an edge sent; its values are not checked yet.

    Raises:
        ProtocolViolation: the bytes are no message, or longer than one of its kind.
    """
    _check_one_member("uplink", data, _uplink_bounds(limits))
    try:
        return ingest_pb2.Uplink.FromString(data)
    except DecodeError:
        raise ProtocolViolation(f"uplink message of {len(data)} bytes cannot be read") from None


def serialize_uplink(message: UplinkMessage) -> bytes:
    """Return the bytes of what an edge sends."""
    return uplink_to_pb(message).SerializeToString()


def parse_downlink(data: bytes, limits: StreamLimits = LIMITS) -> DownlinkMessage:
    """Return the message that a cloud answered.

    Raises:
        ProtocolViolation: the bytes are no message, or a value in it is outside its bounds.
    """
    return downlink_from_pb(unfold_downlink(data, limits), limits)


def unfold_downlink(data: bytes, limits: StreamLimits = LIMITS) -> ingest_pb2.Downlink:
    """Return the protobuf form of what a cloud answered; its values are not checked yet.

    Raises:
        ProtocolViolation: the bytes are no message, or longer than one of its kind.
    """
    _check_one_member("downlink", data, _downlink_bounds(limits))
    try:
        return ingest_pb2.Downlink.FromString(data)
    except DecodeError:
        raise ProtocolViolation(f"downlink message of {len(data)} bytes cannot be read") from None


def serialize_downlink(message: DownlinkMessage) -> bytes:
    """Return the bytes of what a cloud answers."""
    return downlink_to_pb(message).SerializeToString()


def _check_one_member(direction: str, data: bytes, bounds: Mapping[int, int]) -> None:
    """Check that `data` is one tag of `bounds`, one length within its bound, and that many bytes."""
    if not data:
        raise ProtocolViolation(f"empty {direction} message")
    bound = bounds.get(data[0])
    if bound is None:
        raise ProtocolViolation(f"unknown {direction} message (tag 0x{data[0]:02x})")
    length = shift = 0
    at = 1
    while True:
        if at == len(data) or at > _MAX_LENGTH_BYTES:
            raise ProtocolViolation(f"{direction} message without a length")
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            break
    if length > bound:
        raise ProtocolViolation(f"{direction} message of {length} bytes where at most {bound} are allowed")
    if length != len(data) - at:
        raise ProtocolViolation(f"{direction} message of {length} bytes in {len(data) - at}")


def _tag(number: int) -> int:
    return number << 3 | _LENGTH_DELIMITED


def _uplink_bounds(limits: StreamLimits) -> Mapping[int, int]:
    return _UPLINK if limits is LIMITS else _make_uplink_bounds(limits)


def _downlink_bounds(limits: StreamLimits) -> Mapping[int, int]:
    return _DOWNLINK if limits is LIMITS else _make_downlink_bounds(limits)


def _make_uplink_bounds(limits: StreamLimits) -> dict[int, int]:
    """Return first byte -> longest content, by the numbers of proto/ingest.proto."""
    texts = _BYTES_A_CHARACTER * (limits.max_text_chars + limits.max_vehicle_chars)
    return {
        _tag(1): texts + _SMALL,  # hello
        _tag(2): limits.max_packet_bytes + _SMALL,  # main
        _tag(3): limits.max_side_bytes + _SMALL,  # side
        _tag(4): _SMALL,  # end
        _tag(5): _SMALL,  # ping
        _tag(6): limits.max_telemetry_bytes + limits.max_kind_chars + _SMALL,  # telemetry
    }


def _make_downlink_bounds(limits: StreamLimits) -> dict[int, int]:
    """Return first byte -> longest content, by the numbers of proto/ingest.proto."""
    text = _BYTES_A_CHARACTER * limits.max_text_chars
    return {
        _tag(1): text + _RANGE_BYTES * limits.max_ranges + _SMALL,  # welcome
        _tag(2): text + _SMALL,  # ack
        _tag(3): text + _SMALL,  # fault
        _tag(4): _SMALL,  # goodbye
        _tag(5): _SMALL,  # pong
        _tag(6): _SMALL,  # hint
    }


_UPLINK = _make_uplink_bounds(LIMITS)
_DOWNLINK = _make_downlink_bounds(LIMITS)
