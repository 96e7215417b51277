"""The geometry benchmark on a plane of known disparity, with our codec faked."""

import json

import cv2
import numpy as np
import pytest

from benchmarks.rd import geometry
from benchmarks.rd import ours as ours_module
from benchmarks.rd.controls import warp
from benchmarks.rd.ours import OurPicture, Ours
from common.errors import UsageError

DISPARITY = 12


class FakeOurs(Ours):
    """Knows the plane better with every quality: off by 4, 2, 0 pixels; its prior is off by 8."""

    def __init__(self):
        pass

    def code(self, main, side, qualities):
        found = []
        for q in qualities:
            disparity = np.full(main.shape[:2], DISPARITY + 4 - 2 * q, np.float32)
            mask = np.zeros(main.shape[:2], np.float32)
            warped = warp(side, disparity)
            found.append(OurPicture(q, 30 + q, main, mask, 27 + q, 200.0, disparity, warped, {}, {}))
        return found

    def prior(self, side):
        return np.full(side.shape[:2], DISPARITY + 8, np.float32)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(2):
        world = cv2.resize(rng.integers(0, 255, (48, 150, 3), dtype=np.uint8), (300, 96))
        for view, start in (("left", 40), ("right", 40 + DISPARITY)):
            (tmp_path / "plane" / view).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "plane" / view / f"{i:06d}.png"), world[:, start : start + 220])
    truth = tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / "000000_10.png"), np.full((96, 220), DISPARITY * 256, np.uint16))
    return tmp_path


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    about = {"name": "fake", "id": "00" * 8, "qualities": 3, "steps": None}
    monkeypatch.setattr(ours_module.Ours, "load", classmethod(lambda cls, *_: (FakeOurs(), about)))


def run(data, *more):
    path = data / "geometry.json"
    argv = ["--data", str(data / "plane"), "--protocol", "full", "--metrics", "psnr", "--json", str(path)]
    assert geometry.main([*argv, *more]) == 0
    return json.loads(path.read_text())


def test_errors_fall_with_the_quality_and_the_prior_costs_nothing(data, capsys):
    document = run(data)
    points = {p["setting"]: p for p in document["points"]}
    assert list(points) == ["prior", 0, 1, 2, "oracle"]
    assert points["prior"]["bytes"] == 0
    assert points["prior"]["oracle"]["mae_px"] == pytest.approx(8, abs=0.2)
    assert [round(points[q]["oracle"]["mae_px"]) for q in range(3)] == [4, 2, 0]
    assert points[0]["oracle"]["over_3px"] > 0.95 and points[1]["oracle"]["over_3px"] < 0.05
    assert points[1]["oracle"]["over_1px"] > 0.95 > 0.05 > points[2]["oracle"]["over_1px"]
    assert points[2]["psnr"] > points[0]["psnr"] + 3, "the warp alone shows it too"
    assert points[0]["trusted"] == {}, "a mask that is shut everywhere trusts nothing"
    assert document["complete"] is True and len(document["images"]) == 10
    printed = capsys.readouterr().out
    assert "| side view alone (monocular prior) | 0 |" in printed
    assert "ground truth disparity was not given" in printed and "ground truth: mean" not in printed


def test_ground_truth_where_it_is_passed(data, capsys):
    document = run(data, "--ground-truth", str(data / "truth"))
    assert document["pairs_with_ground_truth"] == 1
    assert document["notes"] == ["ground truth was found for 1 of 2 pairs"]
    points = {p["setting"]: p for p in document["points"]}
    assert points[1]["truth"]["mae_px"] == pytest.approx(2.0)
    assert points["oracle"]["truth"]["mae_px"] < 0.3
    assert "ground truth: mean error px" in capsys.readouterr().out


def test_without_a_side_view_there_is_nothing_to_measure(data):
    with pytest.raises(UsageError, match="no geometry"):
        run(data, "--side", "none")


def test_ceilings_stand_above_the_qualities_if_wanted(data, capsys):
    document = run(data, "--ceilings")
    points = {p["setting"]: p for p in document["points"]}
    names = [name for name in points if isinstance(name, str) and name.startswith("oracle, ")]
    assert len(names) == 6 and list(points)[-1] == "oracle"
    assert points["oracle, every pixel"]["oracle"]["mae_px"] == pytest.approx(0, abs=0.01)
    assert points["oracle, every pixel"]["psnr"] > points["oracle, 1 px of smooth error"]["psnr"]
    assert "| oracle, mean of 16x16 blocks |  |" in capsys.readouterr().out
