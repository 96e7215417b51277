"""Read what KITTI calibration files say about a rectified stereo pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

_CAMERAS = (("P_rect_02", "P_rect_03"), ("P2", "P3"), ("P_rect_00", "P_rect_01"), ("P0", "P1"))


@dataclass(frozen=True)
class Calibration:
    """Hold the geometry of a rectified pair in the pixels of the original images.

    A point at depth z metres has the disparity `focal_px * baseline_m / z`.
    """

    focal_px: float
    centre_x: float
    centre_y: float
    baseline_m: float


def read_calibration(path: Path, grey: bool = False) -> Calibration | None:
    """Read `calib_cam_to_cam.txt` (KITTI raw, stereo 2012/2015) or `calib.txt` (odometry).

    Args:
        path: The file.
        grey: Take the grey cameras 0 and 1 and not the colour cameras 2 and 3.

    Returns:
        The geometry, or None where the file is missing or says nothing usable: calibration is never required.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    rows: dict[str, list[float]] = {}
    for line in text.splitlines():
        key, separator, values = line.partition(":")
        if not separator:
            continue
        try:
            rows[key.strip()] = [float(value) for value in values.split()]
        except ValueError:
            continue
    for main, side in sorted(_CAMERAS, key=lambda pair: pair[0].endswith(("0", "00")) != grey):
        p, q = rows.get(main, []), rows.get(side, [])
        if len(p) == len(q) == 12 and p[0] > 0 and q[0] > 0 and all(map(math.isfinite, p + q)):
            baseline_m = p[3] / p[0] - q[3] / q[0]
            if baseline_m > 0:
                return Calibration(p[0], p[2], p[6], baseline_m)
    return None
