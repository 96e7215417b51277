"""The whole command on tiny pictures, with our two ends faked and no metric network."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.rd import ours as ours_module
from benchmarks.rd import run as run_module
from benchmarks.rd.ours import OurPicture, Ours
from benchmarks.rd.protocol import Sample
from common.errors import UsageError

METRICS = ["--metrics", "psnr,ms_ssim_db"]


class FakeOurs(Ours):
    """Rebuilds a noisy copy: less noise at a higher quality, more without the side view."""

    def __init__(self):
        self.calls = []

    def code(self, main, side, qualities, lossy=False):
        self.calls.append((side is not None, tuple(qualities)))
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 1, main.shape)
        scale = 1 if side is not None else 2
        return [
            OurPicture(
                q, 40 * (q + 1), np.clip(main + scale * (24 - 4 * q) * noise, 0, 255).astype(np.uint8),
                np.full(main.shape[:2], 0.5, np.float32), 40 * (q + 1) - 3, 8.0 * (40 * (q + 1) - 3) - 4,
                np.full(main.shape[:2], 6, np.float32), main, {"total": 1.0}, {"total": 2.0},
            )
            for q in qualities
        ]  # fmt: skip

    def prior(self, side):
        return np.full(side.shape[:2], 6, np.float32)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(1)
    for name, count in (("one", 2), ("two", 1)):
        for i in range(count):
            world = cv2.resize(rng.integers(0, 255, (28, 50, 3), dtype=np.uint8), (200, 112))
            for view, start in (("left", 0), ("right", 6)):
                (tmp_path / name / view).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(tmp_path / name / view / f"{i:06d}.png"), world[:, start : start + 180])
    return tmp_path


@pytest.fixture
def fake(monkeypatch):
    codec = FakeOurs()
    about = {"name": "fake", "id": "00" * 8, "qualities": 4, "steps": None}
    monkeypatch.setattr(ours_module.Ours, "load", classmethod(lambda cls, *_: (codec, about)))
    return codec


def test_everything_is_measured_and_written(data, fake, tmp_path, capsys):
    out, path = tmp_path / "out", tmp_path / "rd.json"
    argv = ["--data", str(data), "--protocol", "full", "--json", str(path), "--out", str(out)]
    assert run_module.main([*argv, *METRICS, "--codecs", "mdic,mdic-noside,jpeg"]) == 0
    document = json.loads(path.read_text())
    assert document["complete"] is True
    assert (document["pairs"], document["side"], document["bundle"]["name"]) == (3, "webp", "fake")
    assert {"cpu", "cores"} <= set(document["machine"])
    assert document["command"].startswith("python -m benchmarks rd --data")
    points = {(p["method"], p["setting"]): p for p in document["points"]}
    assert [s for m, s in points if m == "mdic"] == [0, 1, 2, 3]
    assert [s for m, s in points if m == "mdic-noside"] == [0, 2, 3]
    assert {("side-copied", None), ("best-shift", None), ("oracle-warp", None), ("jpeg", 5)} | {
        ("monocular-warp", None)
    } <= set(points)
    assert all(len(p["images"]) == 3 for p in points.values())
    low = points[("mdic", 0)]
    assert low["mean"]["bytes"] == 40
    assert low["mean"]["bpp"] == pytest.approx(40 * 8 / (112 * 180), rel=1e-4)
    assert low["mean"]["side_bpp"] > 1 and low["mean"]["decode_ms"] == 2.0
    assert points[("mdic-noside", 0)]["mean"]["psnr"] < low["mean"]["psnr"] - 3
    assert points[("best-shift", None)]["images"][0]["note"] == "6 px"
    assert low["mean"]["sum_bpp"] == pytest.approx(low["mean"]["bpp"] + low["mean"]["side_bpp"], abs=1e-5)
    assert (
        "sum_bpp" not in points[("mdic-noside", 0)]["mean"] and "sum_bpp" not in points[("jpeg", 5)]["mean"]
    )
    # The fake's prior is the pair's true disparity, which the whole-image shift finds too.
    prior, shift = points[("monocular-warp", None)]["mean"], points[("best-shift", None)]["mean"]
    assert (prior["bytes"], prior["psnr"]) == (0, pytest.approx(shift["psnr"]))
    assert {row["against"] for row in document["bd"]} == {"jpeg"}
    assert document["monotone"]["rate"]["holds"] and document["monotone"]["psnr"]["holds"]
    assert [check["setting"] for check in document["entropy"]] == [0, 1, 2, 3]
    assert document["entropy"][0]["header_bytes"] == 3
    assert document["entropy"][0]["payload"] == pytest.approx(4 / (37 * 8 - 4), abs=1e-5)
    costs = {cost["codec"]: cost["bytes"] for cost in document["side_codecs"]}
    assert costs["webp"] == pytest.approx(document["side_bytes_mean"]) and costs["jpeg:50"] > costs["jpeg:20"]
    pictures = ["all.png", "ms_ssim_db.png", "psnr.png", "sheet.png"]
    assert sorted(p.name for p in out.iterdir()) == pictures
    printed = capsys.readouterr().out
    assert "| MDIC (ours) | 3 |" in printed and "BD-rate" in printed
    assert "| JPEG 50 |" in printed and "PSNR dB improves with every quality index" in printed
    assert "not measured (--metrics): LPIPS-VGG, LPIPS-Alex, DISTS" in printed


def test_no_side_view(data, fake, capsys):
    argv = ["--data", str(data), "--protocol", "full", "--side", "none", *METRICS]
    assert run_module.main([*argv, "--codecs", "mdic", "--qualities", "1,3", "--every", "2"]) == 0
    assert fake.calls == [(False, (1, 3))] * 2
    printed = capsys.readouterr().out
    assert "controls do not apply" in printed
    assert "2 of 3 pairs (--every 2)" in printed


def test_no_side_flag_decodes_every_quality_twice(data, fake):
    argv = ["--data", str(data), "--protocol", "full", "--limit", "1", *METRICS]
    run_module.main([*argv, "--codecs", "mdic", "--no-side"])
    assert fake.calls == [(True, (0, 1, 2, 3)), (False, (0, 1, 2, 3))]


def test_without_ours_no_bundle_is_needed(data, capsys):
    argv = ["--data", str(data), "--protocol", "full", "--limit", "1", *METRICS, "--codecs", "webp"]
    assert run_module.main(argv) == 0
    assert "WebP" in capsys.readouterr().out


def test_an_interrupted_run_leaves_what_it_had(data, fake, tmp_path, monkeypatch):
    path, real, seen = tmp_path / "rd.json", run_module.controls, []

    def failing(sample, protocol):
        seen.append(sample.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(sample, protocol)

    monkeypatch.setattr(run_module, "controls", failing)
    argv = ["--data", str(data), "--protocol", "full", "--json", str(path), *METRICS, "--codecs", "mdic"]
    with pytest.raises(KeyboardInterrupt):
        run_module.main(argv)
    document = json.loads(path.read_text())
    assert document["complete"] is False
    assert len(document["points"][0]["images"]) == 2


@pytest.mark.parametrize("alone", [True, False])
def test_the_sheet_has_no_hole_where_no_picture_without_side_view_was_asked_for(alone):
    picture = np.zeros((8, 16, 3), np.uint8)
    sample = Sample("pair", picture, picture, 100, picture, picture)
    produced = [
        run_module.Produced("mdic", "ours", "ours", q, 40 + q, picture, {}, picture[..., 0]) for q in range(4)
    ]
    if alone:
        produced.append(run_module.Produced("mdic-noside", "alone", "ours", 2, 42, picture, {}))
    captions = [tile.caption for tile in run_module.tiles(sample, produced) if tile.image is not None]
    assert any("without side view" in caption for caption in captions) == alone
    assert ("ours, highest: q3, 43 bytes" in captions) == (not alone)


def test_bad_options_are_named(data):
    base = ["--data", str(data), "--protocol", "full", *METRICS]
    with pytest.raises(UsageError, match="vvc"):
        run_module.main([*base, "--codecs", "mdic,vvc"])
    with pytest.raises(UsageError, match="tiff"):
        run_module.main([*base, "--side", "tiff"])
