"""Steadier geometry: disparity averaged along the motion, and the side view fetched with it."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import RgbImage

from .motion import Plane

_TOLERANCE_SHARE = 2 / 128  # of the height: beyond, two disparities speak of different things
_SLOW = 0.3
"""How much of the past's slowly varying difference is taken: the rest may be motion that the camera's approach does not
explain (a turn, a car that drives by). More takes more flicker away and costs LPIPS (docs/decisions, 0006)."""
_ROUNDS, _LEAST = 2, 0.1


def steady(now: Plane, then: Plane, weight: Plane) -> tuple[Plane, Plane]:
    """Average the disparity of now with that of the frame before, already moved along.

    What the camera's approach adds belongs to the motion; what is left is noise of the matching in one frame or the
    other, most of it slow: a wall stands a pixel off as a whole, and half a pixel off in the next frame.

    Args:
        now: (H, W) float32 pixels.
        then: the same, of the frame before.
        weight: (H, W) float32 in [0, 1), of `then`.

    Returns:
        The disparity, and the weight that `then` really had.
    """
    tolerance = _TOLERANCE_SHARE * now.shape[0]
    # What is far off from the start must bend neither the approach nor the smooth part.
    trust = weight * np.exp(-(((then - now) / (3 * tolerance)) ** 2))
    for _ in range(_ROUNDS):
        difference = then + approach(now, then, trust) * then * then - now
        trust = weight * np.exp(-((difference / (2 * tolerance)) ** 2))
    slow = smooth_part(difference, trust)
    fast = difference - slow
    weight = np.asarray(weight * np.exp(-((fast / tolerance) ** 2)), np.float32)
    # What is slow must stay slow: its weight is that of a neighbourhood, where the pixel itself is trusted at all.
    around = cv2.GaussianBlur(np.asarray(trust, np.float32), (0, 0), max(2.0, now.shape[0] / 32))
    around *= np.clip(trust / _LEAST, 0, 1)
    steadied = now + weight * fast + _SLOW * around * slow
    return np.asarray(steadied, np.float32), np.asarray(np.maximum(weight, around), np.float32)


def approach(now: Plane, then: Plane, trust: Plane) -> float:
    """Return k of now = then + k then^2, by least squares: the way driven in units of focal length times baseline.

    Disparity is fB / Z, so a drive of T towards everything makes d / (1 - d T / fB) of it, nearly d + d^2 T / fB.
    """
    square = then * then
    weighed = float((trust * square * square).sum())
    return float((trust * square * (now - then)).sum()) / weighed if weighed > 0 else 0.0


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
