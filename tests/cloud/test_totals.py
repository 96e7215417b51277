"""The server's last words."""

from __future__ import annotations

import json

from cloud.totals import Totals
from common.stream.messages import Ack, Status, Telemetry
from common.types import SideState


def test_everything_is_counted_by_what_and_why() -> None:
    totals = Totals()
    totals.sessions, totals.received, totals.side_received = 1, 5, 4
    for _ in range(2):
        totals.settle(Ack(0, Status.DECODED, SideState.EXACT, 0, 10.0, 20.0), "")
    totals.settle(Ack(0, Status.DECODED, SideState.MISSING, 0, 30.0, 40.0), "")
    totals.settle(Ack(0, Status.DROPPED), "decode queue full")
    totals.settle(Ack(0, Status.FAILED), "ChecksumMismatch")
    totals.sides_lost["CorruptPayload"] += 1
    totals.temporal = 2
    said = json.loads(json.dumps(totals.as_dict()))
    assert (said["decoded"], said["dropped"], said["failed"]) == (3, 1, 1)
    assert said["reasons"] == {"dropped: decode queue full": 1, "failed: ChecksumMismatch": 1}
    assert said["side"] == {"exact": 2, "stale": 0, "missing": 1}
    assert said["queue_ms"]["p50"] == 10.0 and said["decode_ms"]["max"] == 40.0
    assert said["temporal"] == 2
    text = "\n".join(totals.lines())
    for words in (
        "3 decoded, 1 dropped, 1 failed",
        "ChecksumMismatch: 1",
        "lost, CorruptPayload: 1",
        "frame before: 2",
    ):
        assert words in text


def test_nothing_done_is_said_too() -> None:
    assert Totals().as_dict()["decode_ms"] is None
    assert "0 frames received" in Totals().lines()[0]


def test_what_came_again_was_not_kept_or_is_telemetry() -> None:
    totals = Totals()
    totals.again = 3
    totals.settle(Ack(0, Status.UNKEPT), "sink")
    totals.take_telemetry(Telemetry(0, 0, "oxts", b"12345"), kept=True)
    totals.take_telemetry(Telemetry(1, 0, "oxts", b"123"), kept=False)
    said = totals.as_dict()
    assert (said["again"], said["unkept"], said["reasons"]) == (3, 1, {"unkept: sink": 1})
    assert (said["telemetry"], said["telemetry_bytes"], said["telemetry_lost"]) == (2, 8, 1)
    assert "1 not kept" in totals.lines()[0] and "not kept" not in Totals().lines()[0]
