"""edge.telemetry: records gather where they may, go at once where none may be lost, and are counted."""

from __future__ import annotations

import random

import pytest

from common.stream.messages import Mode, Telemetry
from common.synthetic import OxtsRecorder
from common.telemetry import TelemetryCodec
from common.types import RigRecord, StereoFrame
from edge.report import StreamFacts, StreamStats, describe, report
from edge.telemetry import LIVE_BATCH_RECORDS, LIVE_HOLD_NS, TelemetryPacker

STEP_NS = 100_000_000


def packer(batch: int = 4, mode: Mode | None = None) -> tuple[TelemetryPacker, StreamStats]:
    stats = StreamStats()
    if mode is not None:
        return TelemetryPacker.for_mode(mode, TelemetryCodec(), stats), stats
    return TelemetryPacker(TelemetryCodec(), stats, batch), stats


def texts(messages: tuple[Telemetry, ...]) -> list[bytes]:
    return [record.data for message in messages for record in TelemetryCodec().unpack(message)]


def test_a_full_batch_goes_out_and_the_rest_on_asking() -> None:
    gather, _ = packer(4)
    lines = [OxtsRecorder(1).record(i) for i in range(6)]
    told = [gather.add(i, i * STEP_NS, "oxts", line) for i, line in enumerate(lines)]
    assert [len(messages) for messages in told] == [0, 0, 0, 1, 0, 0]
    (message,) = told[3]
    assert (message.seq, message.capture_ns, message.kind) == (0, 0, "oxts")
    assert texts(told[3]) == lines[:4] and texts(gather.flush()) == lines[4:]
    assert gather.flush() == ()


def test_kinds_do_not_mix_and_none_waits_long() -> None:
    gather, _ = packer(64)
    assert gather.add(0, 0, "calib", b"R: 1 0 0") == ()
    assert gather.add(0, 0, "oxts", b"1 2 3") == ()
    late = gather.add(20, LIVE_HOLD_NS, "oxts", b"1 2 4")
    assert {message.kind: texts((message,)) for message in late} == {
        "calib": [b"R: 1 0 0"],
        "oxts": [b"1 2 3", b"1 2 4"],
    }


def test_durable_records_do_not_wait() -> None:
    gather, _ = packer(mode=Mode.DURABLE)
    frame = StereoFrame(5, 7, None, None, (RigRecord("calib", b"a"), RigRecord("oxts", b"b")))
    messages = gather.add_frame(frame)
    assert [(m.seq, m.kind) for m in messages] == [(5, "calib"), (5, "oxts")] and gather.flush() == ()


def test_live_records_wait_for_ten() -> None:
    gather, _ = packer(mode=Mode.LIVE)
    counts = [len(gather.add(i, i * STEP_NS, "oxts", b"%d 2" % i)) for i in range(LIVE_BATCH_RECORDS)]
    assert counts == [0] * (LIVE_BATCH_RECORDS - 1) + [1]


def test_a_source_that_begins_anew_begins_a_batch() -> None:
    gather, _ = packer(4)
    gather.add(8, 0, "oxts", b"old")
    messages = gather.add(0, 5, "oxts", b"new")
    assert texts(messages) == [b"old"] and texts(gather.flush()) == [b"new"]


def test_bytes_are_counted_and_told() -> None:
    gather, stats = packer(5)
    lines = [OxtsRecorder(2).record(i) for i in range(10)]
    messages = [m for i, line in enumerate(lines) for m in gather.add(i, i * STEP_NS, "oxts", line)]
    assert stats.sizes["telemetry_raw"] == sum(map(len, lines))
    assert (
        stats.sizes["telemetry_sent"] == sum(len(m.data) for m in messages) < stats.sizes["telemetry_raw"] / 2
    )
    summary = report(StreamFacts("c", "h:1", "v", "both", 3), stats)
    assert summary["bytes"]["telemetry_raw"] == sum(map(len, lines))
    assert "% saved)" in describe(summary)


def test_a_long_batch_is_cut_and_a_record_too_long_is_counted() -> None:
    gather, stats = packer(64)
    noise = random.Random(3)
    parts = [noise.randbytes(20_000) for _ in range(5)]
    messages = [m for i, part in enumerate(parts) for m in gather.add(i, 0, "meta", part)]
    messages += gather.flush()
    assert texts(tuple(messages)) == parts and max(len(m.data) for m in messages) <= 64 << 10
    assert gather.add(9, 0, "meta", noise.randbytes(70_000)) == () and gather.flush() == ()
    assert stats.telemetry_drops.as_dict() == {"too_large": 1}


def test_an_empty_record_is_none_and_batches_are_bounded() -> None:
    gather, stats = packer()
    assert gather.add(0, 0, "oxts", b"") == () and gather.flush() == () and stats.sizes["telemetry_raw"] == 0
    for wrong in (0, 65):
        with pytest.raises(ValueError, match="batches"):
            TelemetryPacker(TelemetryCodec(), stats, wrong)
