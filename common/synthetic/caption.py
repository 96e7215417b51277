"""Describe a street scene in one sentence from what is visible in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.synthetic.labels import BUILDING, VEGETATION
from common.synthetic.scene import Instance

_NUMBERS = ("no", "a", "two", "three", "four", "five", "six")
_PLURALS = {"car": "cars", "person": "people"}
_MIN_SHARE = 6e-4


def describe(labels: NDArray[np.uint8], owners: NDArray[np.int16], instances: list[Instance]) -> str:
    """Write the caption of a view.

    Args:
        labels: (H, W) Cityscapes train ids.
        owners: (H, W) number of the instance seen at each pixel, -1 for sky and ground.
        instances: What the numbers stand for.

    Returns:
        For example "a street with two cars on the left, a car ahead, trees and buildings".
    """
    pixels = np.bincount(owners[owners >= 0].astype(np.int64), minlength=len(instances))
    enough = max(8, _MIN_SHARE * labels.size)
    counts: dict[tuple[str, str], int] = {}
    for number in np.flatnonzero(pixels[: len(instances)] >= enough):
        kind = instances[int(number)].kind
        if kind in _PLURALS:
            columns = np.flatnonzero((owners == number).any(axis=0))
            where = _where(float(columns.mean()) / labels.shape[1])
            counts[(kind, where)] = counts.get((kind, where), 0) + 1
    parts = [
        f"{_count(count, kind)} {where}"
        for kind in _PLURALS
        for where in ("on the left", "ahead", "on the right")
        if (count := counts.get((kind, where), 0))
    ]
    parts += [
        word
        for train_id, word in ((VEGETATION, "trees"), (BUILDING, "buildings"))
        if np.mean(labels == train_id) > 0.02
    ]
    if not parts:
        return "an empty street"
    return "a street with " + (parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1])


def _where(share: float) -> str:
    return "on the left" if share < 0.42 else "ahead" if share < 0.58 else "on the right"


def _count(count: int, kind: str) -> str:
    if count == 1:
        return f"a {kind}"
    return f"{_NUMBERS[count] if count < len(_NUMBERS) else 'many'} {_PLURALS[kind]}"
