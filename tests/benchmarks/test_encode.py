"""Encode timings, with a fake encoder and a clock of its own."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks.encode import WARM_UP_FRAMES, parse_size, real_frames, summary, table, time_encoder
from common.errors import UsageError


class FakeEncoder:
    def __init__(self):
        self.seen = []

    def encode(self, image, quality):
        self.seen.append((int(image[0, 0, 0]), quality))
        ms = {"entropy": float(len(self.seen)), "total": 2.0 * len(self.seen)}
        return SimpleNamespace(packet=b"x" * 30, ms=ms)


def test_warm_up_is_not_timed_and_frames_take_turns():
    frames = [np.full((64, 64, 3), i, np.uint8) for i in range(2)]
    encoder = FakeEncoder()
    runs = time_encoder(encoder, frames, quality=5, repeat=4)
    assert len(encoder.seen) == WARM_UP_FRAMES + 4
    assert [frame for frame, _ in encoder.seen[WARM_UP_FRAMES:]] == [0, 1, 0, 1]
    assert {quality for _, quality in encoder.seen} == {5}
    assert [run["ms"]["entropy"] for run in runs] == [4.0, 5.0, 6.0, 7.0]
    assert runs[0]["packet_bytes"] == 30


def test_summary_is_median_and_tail():
    times = [{"total": float(x)} for x in range(1, 101)]
    assert summary(times)["total"] == {"median": 50.5, "p95": pytest.approx(95.05), "max": 100.0}


def test_size_is_height_by_width():
    assert parse_size("375x1242") == (375, 1242)
    for bad in ("375", "0x3", "axb", "1x2x3"):
        with pytest.raises(UsageError, match=bad):
            parse_size(bad)


def test_table_shows_every_stage():
    document = {
        "width": 1242, "height": 375, "quality": 4, "repeat": 9, "frames": 2, "packet_bytes_mean": 512.4,
        "machine": {"cores": 2, "cpu": "Some CPU"}, "ms": summary([{"entropy": 3.0, "total": 9.0}]),
    }  # fmt: skip
    text = table(document)
    assert "1242x375" in text and "512 bytes" in text and "2 cores of Some CPU" in text
    assert "| entropy | 3.0 | 3.0 | 3.0 |" in text


def test_real_frames_share_one_size(tmp_path):
    for i, shape in enumerate([(70, 90), (72, 96)]):
        for view in ("left", "right"):
            (tmp_path / view).mkdir(exist_ok=True)
            picture = np.full((*shape, 3), 40 * (i + 1), np.uint8)
            cv2.imwrite(str(tmp_path / view / f"{i:06d}.png"), picture)
    assert [f.shape for f in real_frames(str(tmp_path), None)] == [(70, 90, 3)] * 2
    assert [f.shape for f in real_frames(str(tmp_path), (64, 80))] == [(64, 80, 3)] * 2
