"""The whole command on tiny pictures, with our two ends, AV1 and the networks faked."""

import json

import numpy as np
import pytest
import torch

from benchmarks.downstream import run as run_module
from benchmarks.downstream import subjects
from benchmarks.downstream.espnet import EspNetV2, Layout
from benchmarks.downstream.segmenter import WEIGHTS_FILE as SEGMENTER_WEIGHTS
from benchmarks.downstream.segmenter import Segmenter
from benchmarks.downstream.teachers import TEACHERS_VARIABLE
from benchmarks.rd import ours as ours_module
from benchmarks.rd.codecs import Coded
from common.errors import UsageError

SMALL = ["--size", "64x128"]


class Picture:
    def __init__(self, quality, image):
        self.quality, self.packet_bytes, self.image = quality, 40 * (quality + 1), image
        self.mask = np.full(image.shape[:2], 0.5, np.float32)


class FakeOurs:
    """Rebuilds a noisy copy: less noise at a higher quality."""

    def __init__(self):
        self.coded = 0

    def code(self, main, side, qualities, lossy=False):
        self.coded += 1
        noise = np.random.default_rng(0).normal(0, 1, main.shape)
        return [Picture(q, np.clip(main + (30 - 9 * q) * noise, 0, 255).astype(np.uint8)) for q in qualities]


class Flat:
    """Stands in for AV1: the mean colour, a byte for each step of the setting."""

    def code(self, image, setting):
        return Coded(64 - setting, np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape).copy())


@pytest.fixture
def fake(monkeypatch):
    codec = FakeOurs()
    about = {"name": "fake", "id": "00" * 8, "qualities": 4, "steps": None}
    monkeypatch.setattr(ours_module.Ours, "load", classmethod(lambda cls, *_: (codec, about)))
    monkeypatch.setitem(subjects.CODECS, "av1", Flat())
    monkeypatch.delenv(TEACHERS_VARIABLE, raising=False)
    return codec


@pytest.fixture
def teachers_folder(tmp_path, monkeypatch):
    """A folder with a segmenter's file; loading it gives a tiny random network."""
    folder = tmp_path / "teachers"
    folder.mkdir()
    (folder / SEGMENTER_WEIGHTS).touch()
    torch.manual_seed(0)
    network = EspNetV2(Layout((16, 32, 48, 64), (1, 1), (13, 11, 9, 9, 7), (12, 8, 8), 4, 20)).eval()
    monkeypatch.setattr(Segmenter, "load", classmethod(lambda cls, path, device: cls(network, device)))
    return folder


def test_everything_is_measured_and_written(fake, teachers_folder, tmp_path, capsys):
    out, path = tmp_path / "out", tmp_path / "run.json"
    argv = [
        *SMALL,
        "--limit",
        "3",
        "--json",
        str(path),
        "--out",
        str(out),
        "--teachers",
        str(teachers_folder),
    ]
    assert run_module.main(argv) == 0
    document = json.loads(path.read_text())
    assert (document["complete"], document["pairs"], document["seed"]) == (True, 3, 7)
    assert document["pictures"] == [f"synthetic/{i:06d}" for i in (0, 25, 50)]
    assert document["notes"] == ["optical flow skipped: the teachers' folder holds no raft-small.pth"]
    points = {(p["method"], p["setting"]): p for p in document["points"]}
    assert [s for m, s in points if m == "mdic"] == [0, 2, 3]
    assert {
        ("av1", 0),
        ("av1-shrunk", 3),
        ("best-shift", None),
        ("oracle-warp", None),
        ("jpeg-90", None),
    } <= set(points)
    low, high = points["mdic", 0], points["mdic", 3]
    assert low["mean"]["bytes"] == 40 and low["mean"]["bpp"] == pytest.approx(40 * 8 / (64 * 128), abs=1e-6)
    assert high["mean"]["stereo_d1"] < low["mean"]["stereo_d1"]
    assert high["mean"]["stereo_d1"] < points["av1", 3]["mean"]["stereo_d1"]
    assert points["jpeg-90", None]["mean"]["seg_agreement"] > 0.5
    assert len(high["interval"]["stereo_3px"]) == 2 and len(high["images"]) == 3
    assert sorted(p.name for p in out.iterdir()) == ["downstream.png", "scene.png"]
    printed = capsys.readouterr().out
    assert "| MDIC (ours) | 3 |" in printed and "segmentation mIoU" in printed


def test_without_weights_the_matcher_still_judges(fake, capsys):
    assert run_module.main([*SMALL, "--limit", "1", "--qualities", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"segmenter skipped: no weights (give --teachers FOLDER or set {TEACHERS_VARIABLE})" in printed
    assert "stereo D1" in printed and "segmentation mIoU" not in printed


def test_an_interrupted_run_goes_on(fake, tmp_path, monkeypatch, capsys):
    path, argv = tmp_path / "run.json", [*SMALL, "--limit", "3", "--qualities", "2"]
    real, seen = run_module.candidates, []

    def failing(sample, ours, qualities):
        seen.append(sample.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(sample, ours, qualities)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "candidates", failing)
        with pytest.raises(KeyboardInterrupt):
            run_module.main([*argv, "--json", str(path)])
    assert json.loads(path.read_text())["complete"] is False
    assert fake.coded == 2
    run_module.main([*argv, "--json", str(path)])
    assert fake.coded == 3
    resumed = json.loads(path.read_text())
    run_module.main([*argv, "--json", str(path), "--fresh"])
    assert fake.coded == 6
    fresh = json.loads(path.read_text())
    assert (resumed["complete"], resumed["points"]) == (True, fresh["points"])
    with pytest.raises(UsageError, match="holds another run"):
        run_module.main([*SMALL, "--limit", "3", "--qualities", "1", "--json", str(path)])


def test_bad_options_are_named(fake, tmp_path):
    with pytest.raises(UsageError, match="needs a side view"):
        run_module.main([*SMALL, "--side", "none"])
    with pytest.raises(UsageError, match="is no folder"):
        run_module.main([*SMALL, "--teachers", str(tmp_path / "nowhere")])
