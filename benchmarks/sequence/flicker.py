"""Temporal stability: how much a rebuilt drive changes along the motion of the source, beyond the source itself.

For consecutive frames, dense flow of the *source* (OpenCV's DIS, medium preset) says where each pixel of the
new frame was before. Pixels whose forward and backward flow disagree (occlusions) or that come from outside the
picture are left out (the test of Sundaram, Brox and Keutzer, ECCV 2010). On the rest:

- warp error: mean |new - warped old| of the reconstruction, in grey levels, as in Lai et al. (ECCV 2018, there
  squared). A blurred video scores low, so it is never read alone:
- warp error of the source: the same of the source, what motion compensation cannot explain anyway;
- change error: mean |(new - warped old) - (the same of the source)|: zero only for a video that changes exactly
  as its source does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from common.types import RgbImage

KEYS = ("warp_error", "warp_error_source", "change_error", "flow_share")
_RELATIVE, _ABSOLUTE = 0.01, 0.5
"""Consistent where |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, in pixels squared."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Hold how the source moved between two frames.

    Attributes:
        grid: (H, W, 2) float32, x and y in the old frame of each pixel of the new one.
        trusted: (H, W) bool.
        residual: (H, W, 3) float32, the source's new frame minus its warped old one, in grey levels.
    """

    grid: NDArray[np.float32]
    trusted: NDArray[np.bool_]
    residual: NDArray[np.float32]


def motion(before: RgbImage, now: RgbImage) -> Motion:
    """Return the motion between two (H, W, 3) uint8 RGB frames of the source."""
    old, new = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, now))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = new.shape[:2]
    # No flow to begin with: zeros would be taken for one. The types of OpenCV do not know that it may be None.
    calc: Any = flow.calc
    there, back = (np.asarray(calc(a, b, None), np.float32) for a, b in ((new, old), (old, new)))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    grid = np.stack([columns, rows], axis=2) + there
    x, y = grid[..., 0], grid[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    returned = _remapped(back, grid)
    apart = ((there + returned) ** 2).sum(2)
    allowed = _RELATIVE * ((there**2).sum(2) + (returned**2).sum(2)) + _ABSOLUTE
    return Motion(grid, inside & (apart < allowed), _residual(before, now, grid))


def flicker(before: RgbImage, now: RgbImage, moved: Motion) -> dict[str, float] | None:
    """Return the errors of two consecutive rebuilt frames (keys: `KEYS`); None where no pixel is trusted."""
    if not moved.trusted.any():
        return None
    residual = _residual(before, now, moved.grid)[moved.trusted]
    source = moved.residual[moved.trusted]
    return {
        "warp_error": float(np.abs(residual).mean()),
        "warp_error_source": float(np.abs(source).mean()),
        "change_error": float(np.abs(residual - source).mean()),
        "flow_share": float(moved.trusted.mean()),
    }


def summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, float] | None:
    """Return the means over the rows that have flicker, with excess (difference to the source) and ratio."""
    kept = [row for row in rows if row.get("warp_error") is not None]
    if not kept:
        return None
    means = {key: float(np.mean([row[key] for row in kept])) for key in KEYS}
    source = means["warp_error_source"]
    return means | {
        "pairs": len(kept),
        "excess": means["warp_error"] - source,
        "ratio": means["warp_error"] / source if source > 0 else float("nan"),
    }


def _residual(before: RgbImage, now: RgbImage, grid: NDArray[np.float32]) -> NDArray[np.float32]:
    return now.astype(np.float32) - _remapped(before.astype(np.float32), grid)


def _remapped(image: NDArray[np.float32], grid: NDArray[np.float32]) -> NDArray[np.float32]:
    columns, rows = cv2.split(grid)
    moved = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
