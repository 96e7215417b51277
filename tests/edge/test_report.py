from __future__ import annotations

import json

from common.errors import CameraError
from common.stream.clock import ClockSample
from common.stream.messages import Ack, MainFrame, SideFrame, Status
from common.types import SideState
from edge.report import StreamFacts, StreamStats, describe, report


def filled() -> tuple[StreamFacts, StreamStats]:
    now = iter(range(0, 10**12, 10**9))
    stats = StreamStats(clock=lambda: next(now))
    facts = StreamFacts("kitti:x", "h:1", "car", "both", 4, "ab", "s", 100, 200, 100, 200, "webp")
    for seq in range(4):
        stats.frames.add("captured")
        stats.encoded(4, {"transform": 10.0 + seq, "total": 20.0})
        stats.sent(SideFrame(seq, 0, bytes(1000)), 1020)
        stats.sent(MainFrame(seq, 0, bytes(250)), 270)
    stats.acknowledged(Ack(0, Status.DECODED, SideState.EXACT, 0, 5.0, 50.0), 100.0)
    stats.acknowledged(Ack(1, Status.DECODED, SideState.STALE, 0, 5.0, 50.0), 300.0)
    stats.acknowledged(Ack(2, Status.DROPPED, detail="queue full"), 1.0)
    stats.dropped("send_queue", main=True, side=False)
    return facts, stats


def test_figures() -> None:
    summary = report(*filled())
    assert summary["bpp"] == 250 * 8 / 20_000
    assert summary["side_bpp"] == 1000 * 8 / 20_000
    wire = 4 * (1020 + 14) + 4 * (270 + 14)
    assert summary["bytes"] == {
        "main": 1000, "side": 4000, "wire": wire, "telemetry_raw": 0, "telemetry_sent": 0,
    }  # fmt: skip
    assert summary["seconds"] == 10.0  # 11 events, one each second
    assert summary["fps"] == 0.2
    assert summary["frames"]["unsettled"] == 1
    assert summary["latency_ms"] == {
        "count": 2,
        "mean": 200.0,
        "p50": 200.0,
        "p95": 290.0,
        "p99": 298.0,
        "max": 300.0,
    }
    assert summary["encode_ms"]["transform"]["mean"] == 11.5
    assert summary["side_states"] == {"exact": 1, "stale": 1}
    assert summary["dropped"]["cloud"] == {"queue full": 1}
    assert summary["qualities"] == {"4": 4}
    assert summary["error"] is None


def test_keys_are_the_same_for_an_empty_stream() -> None:
    facts, stats = filled()
    full, empty = report(facts, stats), report(facts, StreamStats(), CameraError("x", "gone"))
    assert full.keys() == empty.keys()
    assert empty["bpp"] is None and empty["fps"] is None and empty["latency_ms"] is None
    assert empty["error"] == {"code": 45, "message": "camera x: gone"}
    json.dumps(empty, allow_nan=False)


def test_text_tells_the_same() -> None:
    text = describe(report(*filled()))
    for told in (
        "4 captured",
        "2 decoded",
        "1 dropped",
        "1 unsettled",
        "0.1000 bpp",
        "p50 200",
        "1 send_queue",
        "queue full",
    ):
        assert told in text
    assert describe(report(StreamFacts("c", "h:1", "v", "side", 4), StreamStats()))


def test_late_frames_are_told_with_their_place() -> None:
    stats = StreamStats()
    stats.late("capture_queue", main=True, side=True)
    stats.late("spool", main=True, side=False, count=3)
    summary = report(filled()[0], stats)
    assert summary["late"] == {"capture_queue": 1, "spool": 3}
    assert (summary["dropped"]["main"]["late"], summary["dropped"]["side"]["late"]) == (4, 1)


def test_trouble_and_clock_are_told() -> None:
    facts, stats = filled()
    stats.connections.add("opened", 2)
    stats.connections.add("lost")
    stats.clock_sample = ClockSample(-1_500_000, 2_000_000)
    stats.frames.add("held", 2)
    summary = report(facts, stats)
    assert summary["connections"] == {"opened": 2, "lost": 1, "refused": 0}
    assert summary["clock"] == {"offset_ms": -1.5, "rtt_ms": 2.0}
    assert summary["frames"]["acked"] == 5  # three by acks, two by a welcome
    text = describe(summary)
    assert "1 lost" in text and "-1.500 ms" in text
    stats.spooled = lambda: 7
    assert report(facts, stats)["frames"]["unsettled"] == 7


def test_latency_of_a_frame_of_unknown_age_is_not_made_up() -> None:
    stats = StreamStats()
    stats.acknowledged(Ack(0, Status.DECODED), None)
    assert stats.frames["decoded"] == 1 and stats.latency_ms.count == 0


def test_reasons_from_a_peer_are_bounded() -> None:
    stats = StreamStats()
    for seq in range(100):
        stats.acknowledged(Ack(seq, Status.FAILED, detail=f"reason {seq}"), 1.0)
    assert len(stats.cloud_drops.as_dict()) == 33
    assert stats.cloud_drops["other"] == 68
