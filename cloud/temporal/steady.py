"""Steadier geometry: disparity averaged along the motion, and the side view fetched with it."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import RgbImage

from .motion import Plane

_TOLERANCE_SHARE = 1.5 / 128  # of the height: beyond, two disparities speak of different things


def steady(now: Plane, then: Plane, weight: Plane) -> tuple[Plane, Plane]:
    """Average the disparity of now with that of the frame before, already moved along.

    Driving changes disparity smoothly (everything comes nearer), so the smooth part of the difference belongs
    to the motion and is taken from now; what is left is noise of the matching in one frame or the other.

    Args:
        now: (H, W) float32 pixels.
        then: the same, of the frame before.
        weight: (H, W) float32 in [0, 1), of `then`.

    Returns:
        The disparity, and the weight that `then` really had.
    """
    tolerance = _TOLERANCE_SHARE * now.shape[0]
    difference = then - now
    # What is far off from the start must not bend the smooth part.
    weight = weight * np.exp(-((difference / (3 * tolerance)) ** 2))
    difference = difference - smooth_part(difference, weight)
    weight = weight * np.exp(-((difference / tolerance) ** 2))
    return np.asarray(now + weight * difference, np.float32), np.asarray(weight, np.float32)


def side_at(side: RgbImage, disparity: Plane) -> Plane:
    """Return the (H, W, 3) side view at column x - disparity, float32; Lanczos, as the shipped decoder does it."""
    height, width = disparity.shape
    x = np.arange(width, dtype=np.float32) - disparity
    y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    moved = cv2.remap(side, x.astype(np.float32), y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def smooth_part(change: Plane, trust: Plane) -> Plane:
    """Return the slowly varying part of `change`, (H, W) or (H, W, 3): light, white balance, approach; not detail.

    Averaged over cells of about a thirtieth of the height, counting only pixels by their `trust` (H, W).
    """
    height, width = trust.shape
    cell = max(4, round(height / 32))
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    spread = trust if change.ndim == 2 else trust[..., None]
    total = cv2.GaussianBlur(cv2.resize(change * spread, size, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    count = cv2.GaussianBlur(cv2.resize(trust, size, interpolation=cv2.INTER_AREA), (0, 0), 1.2) + 0.02
    coarse = total / (count if change.ndim == 2 else count[..., None])
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
