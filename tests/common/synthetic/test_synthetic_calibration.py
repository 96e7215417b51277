"""common.synthetic.calibration: our own reader of KITTI's files understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.datasets.calibration import read_calibration
from common.synthetic.calibration import calibration_text
from common.synthetic.geometry import Rig


def test_the_rig_comes_back(tmp_path: Path) -> None:
    rig = Rig.kitti_like(375, 1242)
    (tmp_path / "calib_cam_to_cam.txt").write_bytes(calibration_text(rig))
    found = read_calibration(tmp_path / "calib_cam_to_cam.txt")
    assert found is not None
    assert found.focal_px == pytest.approx(rig.focal_px, rel=1e-6)
    assert (found.centre_x, found.centre_y) == pytest.approx((rig.centre_x, rig.centre_y), rel=1e-6)
    assert found.baseline_m == pytest.approx(rig.baseline_m, rel=1e-5)
