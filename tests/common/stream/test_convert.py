from __future__ import annotations

from dataclasses import replace

import pytest

from common.errors import ProtocolViolation
from common.pb import ingest_pb2
from common.stream.convert import (
    downlink_from_pb,
    downlink_to_pb,
    uplink_from_pb,
    uplink_to_pb,
    vehicle_problem,
)
from common.stream.limits import StreamLimits
from common.stream.messages import (
    Ack,
    DropCounts,
    End,
    Fault,
    Goodbye,
    Hello,
    Hint,
    MainFrame,
    Mode,
    Ping,
    Pong,
    Role,
    SideFrame,
    Status,
    Telemetry,
    Welcome,
)
from common.types import SideCodec, SideState

HELLO = Hello("car-1", Role.BOTH, b"12345678", 375, 1242, 370, 1226, SideCodec.HEVC, 40, "kitti:x")
BIG = (1 << 64) - 1

UPLINK = [
    HELLO,
    Hello("car-1", Role.MAIN, b"12345678", 64, 4096),
    Hello("car-1", Role.SIDE, side_height=64, side_width=64, side_codec=SideCodec.WEBP_LOSSLESS),
    replace(HELLO, mode=Mode.DURABLE, stream_id=b"0123456789abcdef", oldest_seq=7),
    replace(HELLO, deadline_ms=500),
    MainFrame(1, 2, b"x", due_ms=(1 << 32) - 1),
    Ping(5, -(1 << 40), 1000),
    Telemetry(3, 4, "oxts", b"49.0 8.4", False),
    Telemetry(3, 4, "calib", b"z", True),
    MainFrame(0, 0, b"x"),
    MainFrame(BIG, BIG, bytes(1 << 20)),
    SideFrame(7, 123, b"y", keyframe=True),
    SideFrame(7, 123, b"y", keyframe=False, reference_seq=5),
    End(3, 4, DropCounts(1, 2, 3, 4, 5, 6, 7, 8), DropCounts(send_queue=BIG)),
]
DOWNLINK = [
    Welcome("s", 256),
    Ack(1, Status.DECODED, SideState.STALE, 99, 1.5, 2.5),
    Ack(2, Status.DROPPED, None, 99, detail="queue full"),
    Ack(BIG, Status.FAILED, detail="corrupt"),
    Ack(3, Status.UNKEPT, detail="disk full", cumulative=2),
    Welcome("s", 1, next_seq=5, held=((6, 6), (8, 20)), base_seq=0),
    Welcome("s", 1, base_seq=BIG),
    Pong(5, 6, BIG),
    Hint(12.5, 3, 64),
    Fault(26, "foreign"),
    Goodbye(1, 2, 3, 4),
]


@pytest.mark.parametrize("message", UPLINK, ids=lambda m: type(m).__name__)
def test_uplink_round_trip(message) -> None:
    data = uplink_to_pb(message).SerializeToString()
    assert uplink_from_pb(ingest_pb2.Uplink.FromString(data)) == message


@pytest.mark.parametrize("message", DOWNLINK, ids=lambda m: type(m).__name__)
def test_downlink_round_trip(message) -> None:
    data = downlink_to_pb(message).SerializeToString()
    assert downlink_from_pb(ingest_pb2.Downlink.FromString(data)) == message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vehicle": ""}, "''"),
        ({"vehicle": "../etc"}, "'../etc'"),
        ({"vehicle": ".hidden"}, "'.hidden'"),
        ({"vehicle": "x\n"}, "vehicle"),
        ({"vehicle": "ü"}, "vehicle"),
        ({"vehicle": "x" * 65}, "1 to 64"),
        ({"bundle_id": b"1234567"}, "7 bytes"),
        ({"height": 63}, "63x1242"),
        ({"width": 4097}, "375x4097"),
        ({"side_height": 0}, "side view of 0x1226"),
        ({"side_codec": None}, "side codec"),
        ({"camera": "x" * 513}, "513 characters"),
        ({"role": Role.SIDE}, "side-only"),
        ({"role": Role.MAIN}, "main-only"),
        ({"stream_id": b"short"}, "5 bytes"),
        ({"mode": 0}, "0"),
        ({"mode": 3}, "3"),
        ({"deadline_ms": 3_600_001}, "3600001 ms"),
    ],
)
def test_bad_hellos(change, told) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        uplink_from_pb(uplink_to_pb(replace(HELLO, **change)))
    assert told in str(caught.value)


def test_foreign_enum_numbers() -> None:
    for field in ("role", "side_codec"):
        message = uplink_to_pb(HELLO)
        setattr(message.hello, field, 9)
        with pytest.raises(ProtocolViolation, match="9"):
            uplink_from_pb(message)
    for field in ("status", "side"):
        answer = downlink_to_pb(Ack(1, Status.DECODED))
        setattr(answer.ack, field, 77)
        with pytest.raises(ProtocolViolation, match="77"):
            downlink_from_pb(answer)


def test_other_wire_versions_are_read_so_that_they_can_be_refused() -> None:
    # The first version knew neither modes nor stream ids.
    old = replace(HELLO, wire_version=1, mode=0, stream_id=b"")
    assert uplink_from_pb(uplink_to_pb(old)).wire_version == 1


@pytest.mark.parametrize(
    "message",
    [
        MainFrame(1, 1, b""),
        SideFrame(1, 1, b""),
        MainFrame(1, 1, bytes(101)),
        SideFrame(1, 1, bytes(201)),
        SideFrame(5, 1, b"x", keyframe=False, reference_seq=5),
        Telemetry(1, 1, "", b"x"),
        Telemetry(1, 1, "../x", b"x"),
        Telemetry(1, 1, "k" * 33, b"x"),
        Telemetry(1, 1, "oxts", b""),
        Telemetry(1, 1, "oxts", bytes(65537)),
    ],
)
def test_bad_frames(message) -> None:
    limits = StreamLimits(max_packet_bytes=100, max_side_bytes=200)
    with pytest.raises(ProtocolViolation):
        uplink_from_pb(uplink_to_pb(message), limits)


@pytest.mark.parametrize(
    "message",
    [
        Welcome("s", 0),
        Welcome("s", 5000),
        Welcome("s" * 513, 1),
        Ack(1, Status.DECODED, queue_ms=float("nan")),
        Ack(1, Status.DECODED, decode_ms=-1.0),
        Ack(1, Status.DECODED, decode_ms=float("inf")),
        Welcome("s", 1, held=tuple((3 * i + 1, 3 * i + 2) for i in range(257))),
        Welcome("s", 1, next_seq=5, held=((5, 9),)),
        Welcome("s", 1, next_seq=5, held=((9, 8),)),
        Welcome("s", 1, held=((4, 9), (9, 12))),
        Welcome("s", 1, held=((4, 9), (10, 12))),
        Hint(1.0, 1, 0),
        Hint(-1.0, 1, 1),
        Hint(float("nan"), 1, 1),
    ],
)
def test_bad_answers(message) -> None:
    with pytest.raises(ProtocolViolation):
        downlink_from_pb(downlink_to_pb(message))


def test_empty_messages() -> None:
    with pytest.raises(ProtocolViolation, match="empty"):
        uplink_from_pb(ingest_pb2.Uplink())
    with pytest.raises(ProtocolViolation, match="empty"):
        downlink_from_pb(ingest_pb2.Downlink())


def test_texts_are_cut_when_sent() -> None:
    assert len(downlink_from_pb(downlink_to_pb(Fault(1, "x" * 9999))).message) == 512
    assert len(downlink_from_pb(downlink_to_pb(Ack(1, Status.FAILED, detail="x" * 9999))).detail) == 512


def test_vehicle_names() -> None:
    assert vehicle_problem("Car_7.left-1") is None
    assert "not a name" in vehicle_problem("a/b")
