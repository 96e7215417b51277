"""How far a frozen network's or matcher's answer on a picture agrees with its answer on the source.

The answer on the source is the reference, not the truth: what is measured is what coding changed, not how good the
network is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UsageError

D1_PX, D1_SHARE = 3.0, 0.05
"""A disparity is an outlier when it is off by more than 3 px and 5 % (KITTI stereo 2015, D1)."""


def segmentation(reference: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> dict[str, Any]:
    """Compare two label maps of one shape.

    Returns:
        `seg_agreement`: share of pixels with the same label. `seg_same`, `seg_either`, `seg_reference`: per class, the
        pixels that both call so, that either does, and that the reference does; `mean_iou` adds them up over pictures.
    """
    _same_shape(reference, found)
    same = np.bincount(reference[reference == found], minlength=classes)[:classes]
    ours, theirs = (np.bincount(labels.ravel(), minlength=classes)[:classes] for labels in (found, reference))
    return {
        "seg_agreement": float((reference == found).mean()),
        "seg_same": same.tolist(),
        "seg_either": (ours + theirs - same).tolist(),
        "seg_reference": theirs.tolist(),
    }


def class_counts(rows: Iterable[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Return (pictures, 3, classes) pixels: `seg_same`, `seg_either` and `seg_reference` of every row."""
    keys = ("seg_same", "seg_either", "seg_reference")
    return np.array([[row[key] for key in keys] for row in rows], dtype=np.int64)


def mean_iou(counts: NDArray[np.int64], counted: int) -> float | None:
    """Return the mean intersection over union of the pictures together, over the classes the reference shows.

    Args:
        counts: what `class_counts` gave for at least one picture.
        counted: the first so many classes count; those behind (the background) do not.
    """
    same, either, shown = counts[:, :, :counted].sum(axis=0)
    present = shown > 0
    return float(np.mean(same[present] / either[present])) if present.any() else None


def disparity(
    reference: NDArray[np.float32],
    reference_holes: NDArray[np.bool_],
    found: NDArray[np.float32],
    found_holes: NDArray[np.bool_],
) -> dict[str, float | None]:
    """Compare two disparity maps, (H, W) pixels, over the pixels that the reference knows.

    Returns:
        `stereo_1px`, `stereo_3px`: share of them that have a disparity within 1 and 3 px of the reference's.
        `stereo_d1`: share that is an outlier in the sense of KITTI's D1. A pixel without a disparity counts as
        wrong in all three; they are None where the reference knows nothing. `stereo_density`: share of all pixels
        that have a disparity.
    """
    _same_shape(reference, found)
    density = float((~found_holes).mean())
    known = ~reference_holes
    if not known.any():
        return {"stereo_1px": None, "stereo_3px": None, "stereo_d1": None, "stereo_density": density}
    error = np.abs(found - reference)[known]
    missing = found_holes[known]
    outlier = missing | ((error > D1_PX) & (error > D1_SHARE * np.abs(reference[known])))
    return {
        "stereo_1px": float((~missing & (error <= 1)).mean()),
        "stereo_3px": float((~missing & (error <= 3)).mean()),
        "stereo_d1": float(outlier.mean()),
        "stereo_density": density,
    }


def motion(reference: NDArray[np.float32], found: NDArray[np.float32]) -> dict[str, float]:
    """Compare two flows, (H, W, 2) pixels: mean end-point error, and the shares within 1 and 3 px."""
    _same_shape(reference, found)
    error = np.hypot(*np.moveaxis(found.astype(np.float64) - reference, -1, 0))
    return {
        "flow_epe": float(error.mean()),
        "flow_1px": float((error <= 1).mean()),
        "flow_3px": float((error <= 3).mean()),
    }


def interval(
    pictures: int, value: Callable[[NDArray[np.int64]], float | None], seed: int, draws: int = 1000
) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of a value over pictures (percentiles of draws with replacement).

    Args:
        pictures: how many there are; fewer than three have no interval.
        value: takes the (pictures,) indices of a draw; None in any draw leaves no interval.
        seed: of the draws.
        draws: how many.
    """
    if pictures < 3:
        return None
    rng = np.random.default_rng(seed)
    values = [value(rng.integers(0, pictures, pictures)) for _ in range(draws)]
    if any(v is None for v in values):
        return None
    low, high = np.percentile(np.array(values, dtype=np.float64), (2.5, 97.5))
    return float(low), float(high)


def _same_shape(reference: NDArray[Any], found: NDArray[Any]) -> None:
    if reference.shape != found.shape:
        raise UsageError(
            f"answers of different shape cannot be compared: {reference.shape} and {found.shape}"
        )
