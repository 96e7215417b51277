"""What could be had if so much were known of the oracle's disparity: ceilings for the geometry benchmark.

The oracle control warps the uncut side view and shrinks the result; a decoder has the side view it was given. These
ceilings warp that one, with the oracle's disparity known for every pixel, as the mean of square blocks, or with a
smooth error. Between two of them a codec's own warp can be placed: what its bits have told.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.disparity import Truth
from common.types import RgbImage

BLOCKS = (4, 8, 16)
ERRORS_PX = (0.5, 1.0)
_ERROR_CELL = 8
_SEED = 0

Disparity = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Hold one: its name in tables, the disparity (h, w) in the picture's pixels, the warped side view."""

    name: str
    disparity: Disparity
    warped: RgbImage


def ceilings(side: RgbImage, truth: Truth) -> list[Ceiling]:
    """Return all ceilings of a side view (h, w, 3) given the oracle's disparity, best first."""
    whole = fill(truth.disparity, truth.known)
    height, width = whole.shape
    found = {"oracle, every pixel": whole}
    for block in BLOCKS:
        shape = (max(1, round(width / block)), max(1, round(height / block)))
        means = cv2.resize(whole, shape, interpolation=cv2.INTER_AREA)
        spread = cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR)
        found[f"oracle, mean of {block}x{block} blocks"] = np.asarray(spread, np.float32)
    random = np.random.default_rng(_SEED)
    cells = (max(2, height // _ERROR_CELL), max(2, width // _ERROR_CELL))
    for error in ERRORS_PX:
        rough = random.normal(size=cells).astype(np.float32)
        smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
        found[f"oracle, {error:g} px of smooth error"] = whole + np.float32(error / smooth.std()) * smooth
    return [Ceiling(name, disparity, _warp(side, disparity)) for name, disparity in found.items()]


def fill(disparity: Disparity, known: NDArray[np.bool_]) -> Disparity:
    """Return disparity (h, w) with unknown pixels filled from their row: the farther of the two known neighbours.

    What one camera alone sees lies behind what hides it from the other. A row without any takes the row above it.
    """
    out = disparity.astype(np.float32, copy=True)
    columns = np.arange(disparity.shape[1])
    for row in range(len(out)):
        seen = np.flatnonzero(known[row])
        if not len(seen):
            out[row] = out[row - 1] if row else 0
            continue
        left = seen[np.clip(np.searchsorted(seen, columns, side="right") - 1, 0, None)]
        right = seen[np.clip(np.searchsorted(seen, columns), None, len(seen) - 1)]
        out[row] = np.where(known[row], out[row], np.minimum(out[row, left], out[row, right]))
    return out


def _warp(side: RgbImage, disparity: Disparity) -> RgbImage:
    rows, columns = np.mgrid[: disparity.shape[0], : disparity.shape[1]].astype(np.float32)
    there = np.asarray(columns - disparity, np.float32)
    warped = cv2.remap(side, there, rows, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)
