"""The table says what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.demo.report import Row, picture_lines, stream_lines

SPREAD = {"count": 16, "mean": 700.0, "p50": 650.4, "p95": 800.0, "p99": 900.0, "max": 901.0}


def summary(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "height": 128, "width": 256, "side_codec": "webp", "side_bpp": 4.25, "fps": 1.5,
        "frames": {"captured": 10, "sent": 8, "decoded": 7},
        "dropped": {"main": {"send_queue": 2}, "side": {"send_queue": 2}, "cloud": {"decode queue full": 1}},
        "side_states": {"exact": 6, "missing": 1},
        "bytes": {"main": 8 * 400, "side": 1, "wire": 2},
        "latency_ms": SPREAD, "encode_ms": {"transform": SPREAD, "entropy": None},
        "cloud_ms": {"queue": SPREAD, "decode": SPREAD},
    }  # fmt: skip
    return facts | changes


def test_stream_lines_tell_the_figures() -> None:
    text = "\n".join(stream_lines(summary(), summary(), 1.05))
    assert (
        "10 captured, 7 rebuilt (6 with the side view exact, 1 with the side view missing), 3 dropped" in text
    )
    assert f"{400 * 8 / (128 * 256):.4f} bpp" in text and "400 bytes a frame" in text and "4.250 bpp" in text
    assert "p50 650 ms, p95 800 ms, p99 900 ms" in text and "16 frames at 1.05 per second" in text
    assert "transform 650.4" in text and "entropy" not in text


def test_nothing_rebuilt_is_a_table_too() -> None:
    empty = summary(
        fps=None, latency_ms=None, encode_ms={}, cloud_ms={"queue": None, "decode": None}, side_states={},
        frames={"captured": 1, "sent": 0, "decoded": 0}, bytes={"main": 0, "side": 0, "wire": 0},
    )  # fmt: skip
    assert "0 rebuilt (none)" in "\n".join(stream_lines(empty, empty, 1.0))


def test_row_means_and_lines() -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (128, 160, 3), dtype=np.uint8)
    row = Row("codec", note="a note")
    row.add(source, source, 100)
    row.add(source, 255 - source, 300)
    facts = row.as_dict(pixels=128 * 160)
    assert facts["bytes"] == 200 and facts["bpp"] == round(200 * 8 / (128 * 160), 5) and facts["frames"] == 2
    assert row.psnr_db[0] == 100 and row.psnr_db[1] < 10
    assert facts["psnr_db"] == round((row.psnr_db[0] + row.psnr_db[1]) / 2, 3)
    assert "300 bytes" in row.latest()
    head, line = picture_lines([facts])
    assert "PSNR" in head and "200" in line and line.endswith("a note")
