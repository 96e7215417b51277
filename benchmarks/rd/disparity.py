"""Disparity to compare with: the oracle's and KITTI's ground truth, cut by the protocol; and the errors.

Errors are given in pixels of the camera: a protocol that shrinks pictures shrinks disparities with them, and
3 px of KITTI's cameras are about 1 px at 128x256.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.controls import oracle_disparity
from benchmarks.rd.protocol import CROP_HEIGHT, CROP_WIDTH, SMALL_HEIGHT, SMALL_WIDTH, Sample
from common.errors import DatasetError

LIMITS_PX = (1.0, 3.0)
"""Errors above these count as wrong (KITTI's own limit is 3 px)."""
_KITTI_UNIT = 256.0

Cut = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Truth:
    """Hold a disparity to compare with.

    Attributes:
        disparity: (h, w) float32, in pixels of the protocol's picture.
        known: (h, w) bool, where it is known and the match lies inside the side view that the decoder has.
        scale: pixels of the protocol's picture per pixel of the camera.
    """

    disparity: NDArray[np.float32]
    known: NDArray[np.bool_]
    scale: float


def cut_truth(disparity: NDArray[np.float32], known: NDArray[np.bool_], protocol: str) -> Truth:
    """Cut an uncut view's disparity (H, W) as the protocol cuts pictures.

    Shrinking takes the value nearest to each new pixel's centre: a mean across an edge would be the depth of
    nothing.
    """
    scale = 1.0
    if protocol == "128x256":
        height, width = disparity.shape
        top, left = (height - CROP_HEIGHT) // 2, (width - CROP_WIDTH) // 2
        window = np.s_[top : top + CROP_HEIGHT, left : left + CROP_WIDTH]
        scale = SMALL_WIDTH / CROP_WIDTH
        disparity = _nearest(disparity[window]) * np.float32(scale)
        known = _nearest(known[window].astype(np.uint8)) > 0
    seen = np.arange(disparity.shape[1], dtype=np.float32)[None] - disparity >= 0
    return Truth(disparity.astype(np.float32), known & seen, scale)


def oracle_truth(sample: Sample, protocol: str) -> Truth:
    """Return the oracle's disparity of a pair: semi-global matching of both uncut views, holes unknown."""
    disparity, holes = oracle_disparity(sample.whole_main, sample.whole_side)
    return cut_truth(disparity, ~holes, protocol)


class GroundTruth:
    """Read KITTI's ground truth: 16-bit PNGs of disparity x 256, 0 where there is none (`disp_occ_0`)."""

    def __init__(self, folder: Path) -> None:
        """Open a folder of PNGs, or one of folders named like the datasets.

        Raises:
            DatasetError: no such folder, or no PNG in it.
        """
        if not folder.is_dir():
            raise DatasetError(folder, "no such folder of ground truth")
        self._folder = folder
        if next(folder.rglob("*.png"), None) is None:
            raise DatasetError(folder, "no PNG of ground truth disparity in it")

    def find(self, name: str) -> Path | None:
        """Return the file of the pair `dataset/stem`, None where there is none.

        `STEM.png` or KITTI's `STEM_10.png`; in a folder of the dataset's name where there is one.
        """
        dataset, _, stem = name.rpartition("/")
        folder = self._folder / dataset if (self._folder / dataset).is_dir() else self._folder
        for candidate in (folder / f"{stem}.png", folder / f"{stem}_10.png"):
            if candidate.is_file():
                return candidate
        return None

    def truth(self, sample: Sample, protocol: str) -> Truth | None:
        """Return the ground truth of a pair, None where there is none.

        Raises:
            DatasetError: the file is no 16-bit PNG, or of another size than the pair's views.
        """
        path = self.find(sample.name)
        if path is None:
            return None
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise DatasetError(path, "not a 16-bit grey PNG of disparity x 256")
        if raw.shape != sample.whole_main.shape[:2]:
            raise DatasetError(path, f"{raw.shape} does not fit its picture of {sample.whole_main.shape[:2]}")
        return cut_truth(raw.astype(np.float32) / np.float32(_KITTI_UNIT), raw > 0, protocol)


def errors(
    disparity: NDArray[np.float32], truth: Truth, where: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Return the error of a disparity (h, w) over the known pixels, `where` narrowing them.

    Returns:
        `mae_px` (mean absolute error in camera pixels), `over_1px` and `over_3px` (shares), `pixels` (share of all
        pixels that were compared). Empty where there is nothing to compare.
    """
    compared = truth.known if where is None else truth.known & where
    if not compared.any():
        return {}
    error = np.abs(disparity[compared].astype(np.float64) - truth.disparity[compared]) / truth.scale
    found = {"mae_px": float(error.mean())}
    found |= {f"over_{limit:g}px": float((error > limit).mean()) for limit in LIMITS_PX}
    return found | {"pixels": float(compared.mean())}


def _nearest(plane: NDArray[Any]) -> NDArray[Any]:
    plane = np.ascontiguousarray(plane)
    return np.asarray(cv2.resize(plane, (SMALL_WIDTH, SMALL_HEIGHT), interpolation=cv2.INTER_NEAREST_EXACT))
