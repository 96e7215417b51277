"""Bytes to messages: one member or none, nothing longer than its kind, our error for whatever is wrong."""

from __future__ import annotations

import resource

import pytest

from common.errors import ProtocolViolation
from common.pb import ingest_pb2
from common.stream.limits import LIMITS, StreamLimits
from common.stream.messages import (
    Ack,
    DropCounts,
    End,
    Fault,
    Goodbye,
    Hello,
    Hint,
    MainFrame,
    Ping,
    Pong,
    Role,
    SideFrame,
    Status,
    Telemetry,
    Welcome,
)
from common.stream.wire import parse_downlink, parse_uplink, serialize_downlink, serialize_uplink
from common.types import SideCodec, SideState

BIG = (1 << 64) - 1
FULL = DropCounts(**dict.fromkeys(DropCounts().as_dict(), BIG))
LONGEST_TEXT = "\U0001f697" * LIMITS.max_text_chars  # four bytes a character

UPLINK = [
    Hello("v" * 64, Role.BOTH, bytes(8), 4096, 4096, 4096, 4096, SideCodec.HEVC, BIG, LONGEST_TEXT),
    MainFrame(BIG, BIG, bytes(LIMITS.max_packet_bytes), (1 << 32) - 1),
    SideFrame(BIG, BIG, bytes(LIMITS.max_side_bytes), False, BIG - 1),
    End(BIG, BIG, FULL, FULL),
    Ping(BIG, -1, BIG),
    Telemetry(BIG, BIG, "k" * LIMITS.max_kind_chars, bytes(LIMITS.max_telemetry_bytes), True),
]
RANGES = tuple((BIG - 1000 + 3 * i, BIG - 999 + 3 * i) for i in range(LIMITS.max_ranges))
DOWNLINK = [
    Welcome(LONGEST_TEXT, 4096, next_seq=5, held=RANGES, base_seq=BIG),
    Ack(BIG, Status.FAILED, SideState.STALE, BIG, 1.5, 2.5, LONGEST_TEXT, BIG),
    Fault(99, LONGEST_TEXT),
    Goodbye(BIG, BIG, BIG, BIG),
    Pong(BIG, BIG, BIG),
    Hint(1e9, (1 << 32) - 1, 4096),
]


@pytest.mark.parametrize("message", UPLINK, ids=lambda m: type(m).__name__)
def test_the_longest_uplink_of_each_kind_passes(message) -> None:
    data = serialize_uplink(message)
    assert len(data) <= LIMITS.max_message_bytes
    assert parse_uplink(data) == message


@pytest.mark.parametrize("message", DOWNLINK, ids=lambda m: type(m).__name__)
def test_the_longest_downlink_of_each_kind_passes(message) -> None:
    assert parse_downlink(serialize_downlink(message)) == message


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"\x3a\x00", "unknown"),
        (b"\x08\x01", "unknown"),
        (b"\x0a", "without a length"),
        (b"\x0a\x80\x80\x80\x80\x80\x00", "without a length"),
        (b"\x0a\x05\x00", "5 bytes in 1"),
        (b"\x0a\x00\x12\x00", "0 bytes in 2"),
        (b"\x2a\x80\x80\x80\x01" + bytes(100), "at most"),
        (b"\x12\x02\xff\xff", "cannot be read"),
        (b"\x0a\x02\x12\x01\xff", "2 bytes in 3"),
    ],
)
def test_what_is_no_message_is_one_clear_error(data: bytes, told: str) -> None:
    for parse in (parse_uplink, parse_downlink):
        with pytest.raises(ProtocolViolation, match=told):
            parse(data)


def test_text_that_is_no_text_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="cannot be read"):
        parse_downlink(b"\x1a\x03\x12\x01\xff")


def test_members_without_number_are_refused_before_they_take_memory() -> None:
    data = b"\x0a\x00\x12\x00" * (4 << 20)  # 16 MiB; protobuf makes 700 MiB of it
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProtocolViolation):
        parse_uplink(data)
    ranges = ingest_pb2.Downlink()
    ranges.welcome.held.extend(ingest_pb2.Range() for _ in range(100_000))
    with pytest.raises(ProtocolViolation, match="at most"):
        parse_downlink(ranges.SerializeToString())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_other_limits_than_the_usual_ones_hold_too() -> None:
    frame = serialize_uplink(MainFrame(1, 1, bytes(1000)))
    with pytest.raises(ProtocolViolation, match="at most"):
        parse_uplink(frame, StreamLimits(max_packet_bytes=100))
    welcome = serialize_downlink(Welcome("s" * 500, 1))
    with pytest.raises(ProtocolViolation):
        parse_downlink(welcome, StreamLimits(max_text_chars=20))
