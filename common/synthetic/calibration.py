"""Write the calibration of a synthetic rig in the form of KITTI's `calib_cam_to_cam.txt`."""

from __future__ import annotations

from common.synthetic.geometry import Rig


def calibration_text(rig: Rig) -> bytes:
    """Return size and projection of both cameras; camera 2 is the main view, camera 3 the side view."""
    lines = []
    for camera, shift_px in (("02", 0.0), ("03", -rig.focal_px * rig.baseline_m)):
        projection = [rig.focal_px, 0, rig.centre_x, shift_px, 0, rig.focal_px, rig.centre_y, 0, 0, 0, 1, 0]
        for key, values in (("S_rect", [rig.width, rig.height]), ("P_rect", projection)):
            lines.append(f"{key}_{camera}: " + " ".join(f"{value:e}" for value in values))
    return ("\n".join(lines) + "\n").encode()
