"""Plots are pictures with something on them."""

import cv2
import pytest

from benchmarks.sequence.compare import measured
from benchmarks.sequence.lowdelay import CodedVideo
from benchmarks.sequence.measure import Track
from benchmarks.sequence.plots import draw_rates, draw_time
from benchmarks.sequence.showcase import Exhibit

pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")


def track(view, codec, setting, count, value, **more):
    errors = {"warp_error": 3.0, "warp_error_source": 2.0, "change_error": 1.0, "flow_share": 0.9}
    rows = [{"frame": 0, "psnr": value}, {"frame": 1, "psnr": value + 1, **errors}]
    return measured(Track(view, codec, setting, **more), rows, CodedVideo([b"", b""], [count] * 2), ["psnr"])


def test_rates_and_time_are_drawn(tmp_path):
    tracks = [track(v, "av1", s, 10000 // s, 80 - s) for v in ("main", "side") for s in (50, 60)]
    empty = draw_rates(tracks, ["psnr"], [], "nothing", tmp_path / "empty")[0]
    ours = [track("main", "mdic", q, 50 + q, 20 + q, side_codec="av1", side_setting=60) for q in (0, 4)]
    full = draw_rates([*tracks, *ours], ["psnr"], ["av1"], "title", tmp_path / "full")[0]
    assert full.name == "psnr.png"
    blank, drawn = (int((cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) < 200).sum()) for p in (empty, full))
    assert drawn > blank + 500
    exhibits = [Exhibit("ours", ours[0], 20.0), Exhibit("theirs", tracks[0], 20.0)]
    path = draw_time(exhibits, "psnr", tmp_path / "time.png")
    assert cv2.imread(str(path)).shape[0] > 500
