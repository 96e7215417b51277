from __future__ import annotations

from pathlib import Path

import pytest

from common.datasets.calibration import read_calibration


def test_baseline_comes_from_both_projections(tmp_path: Path, calibration_text: str) -> None:
    path = tmp_path / "calib_cam_to_cam.txt"
    path.write_text(calibration_text)
    found = read_calibration(path)
    assert found is not None
    assert (found.focal_px, found.centre_x, found.centre_y) == (720, 610, 170)
    assert found.baseline_m == pytest.approx((45 + 342) / 720)


def test_grey_cameras_on_request(tmp_path: Path) -> None:
    path = tmp_path / "calib.txt"
    rows = {"P0": 0, "P1": -350, "P2": 40, "P3": -300}
    path.write_text("".join(f"{k}: 700 0 600 {v} 0 700 180 0 0 0 1 0\n" for k, v in rows.items()))
    colour, grey = read_calibration(path), read_calibration(path, grey=True)
    assert colour is not None and grey is not None
    assert (colour.baseline_m, grey.baseline_m) == (pytest.approx(340 / 700), pytest.approx(0.5))


@pytest.mark.parametrize(
    "text", ["", "P2: 1 2 3\nP3: x y\n", "nonsense", "P2:" + " 0" * 12 + "\nP3:" + " 0" * 12]
)
def test_unusable_calibration_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.txt").write_text(text)
    assert read_calibration(tmp_path / "c.txt") is None
    assert read_calibration(tmp_path / "missing.txt") is None
