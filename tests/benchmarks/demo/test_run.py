"""The demo around its processes: options, reading back what was rebuilt, the comparison, the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks.demo import run as demo
from benchmarks.demo.run import Plan, Streamed, main, parse, read_rebuilt, sources
from common.errors import StreamError, UsageError

SPREAD = {"count": 3, "mean": 700.0, "p50": 650.0, "p95": 800.0, "p99": 900.0, "max": 901.0}
SUMMARY: dict[str, Any] = {
    "height": 128, "width": 128, "side_codec": "webp", "side_bpp": 4.25, "fps": 1.5, "bundle": "00ff",
    "frames": {"captured": 3, "sent": 3, "decoded": 3},
    "dropped": {"main": {}, "side": {}, "cloud": {}},
    "side_states": {"exact": 3},
    "bytes": {"main": 900, "side": 1, "wire": 2},
    "latency_ms": SPREAD, "encode_ms": {"total": SPREAD}, "cloud_ms": {"queue": SPREAD, "decode": SPREAD},
}  # fmt: skip


def write_rebuilt(folder: Path, plan: Plan, packet_bytes: int) -> None:
    """Write what the images sink would: here the side view stands for the rebuilt picture."""
    (folder / "main").mkdir(parents=True)
    with (folder / "index.jsonl").open("w") as index:
        for frame in sources(plan):
            assert frame.side is not None
            name = f"main/{frame.seq:06d}.png"
            cv2.imwrite(str(folder / name), cv2.cvtColor(frame.side, cv2.COLOR_RGB2BGR))
            index.write(json.dumps({"seq": frame.seq, "bytes": packet_bytes, "file": name}) + "\n")


def test_defaults_and_camera() -> None:
    plan = parse([])
    assert plan.frames >= 30 and plan.camera == "synthetic:7:192x640"


@pytest.mark.parametrize(
    "bad", [["--size", "100x640"], ["--size", "big"], ["--frames", "0"], ["--fps", "0"], ["--fps", "nan"]]
)
def test_senseless_options(bad: list[str]) -> None:
    with pytest.raises(UsageError, match=bad[1]):
        parse(bad)


def test_demo_measures_and_leaves_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def streamed(plan: Plan, rebuilt: Path) -> Streamed:
        write_rebuilt(rebuilt / "street", plan, 300)
        return Streamed(SUMMARY, SUMMARY, 1.05, 0)

    monkeypatch.setattr(demo, "run_stream", streamed)
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)
    stale = tmp_path / "rebuilt" / "street" / "main" / "999999.png"
    stale.parent.mkdir(parents=True)
    stale.touch()
    assert main(["--size", "128x128", "--frames", "3", "--out", str(tmp_path)]) == 0
    assert not stale.exists()
    assert (tmp_path / "demo.png").stat().st_size > 10_000
    pictures = {row["label"]: row for row in json.loads((tmp_path / "demo.json").read_text())["pictures"]}
    assert pictures["MDIC-Stream"]["bytes"] == 300 and pictures["MDIC-Stream"]["frames"] == 3
    # The side view as it is fits worse than the side view shifted by the best disparity.
    assert pictures["MDIC-Stream"]["psnr_db"] < pictures["side view, shifted"]["psnr_db"]
    assert pictures["WebP"]["bytes"] <= 300
    printed = capsys.readouterr().out
    assert "MDIC-Stream" in printed and "WebP" in printed and "p99 900 ms" in printed


@pytest.mark.parametrize(("code", "words"), [(32, "exit code 32"), (0, "no frame was rebuilt")])
def test_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    monkeypatch.setattr(demo, "run_stream", lambda plan, rebuilt: Streamed(SUMMARY, SUMMARY, 1.0, code))
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)
    with pytest.raises(StreamError, match=words):
        main(["--size", "128x128", "--frames", "3", "--out", str(tmp_path)])


def test_frames_that_were_not_decoded_are_left_out(tmp_path: Path) -> None:
    assert read_rebuilt(tmp_path) == {}
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "000004.mdic").write_bytes(b"MDIC")
    (tmp_path / "index.jsonl").write_text('{"seq": 4, "bytes": 9, "file": "main/000004.mdic"}\n')
    assert read_rebuilt(tmp_path) == {}
