"""Illumination of a picture: the lowest waves of its luma and colour differences (proto/BITSTREAM.md, section 5.2)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from common.luma import WEIGHTS

Wave: TypeAlias = tuple[int, int, int]
"""Plane (0: luma, 1: Cb, 2: Cr), half waves downwards, half waves to the right."""
PLANES = 3
MOST_WAVES = 64
"""That a bundle may have."""
TO_YCBCR = np.array(
    [
        WEIGHTS,
        [-WEIGHTS[0] / 1.772, -WEIGHTS[1] / 1.772, (1 - WEIGHTS[2]) / 1.772],
        [(1 - WEIGHTS[0]) / 1.402, -WEIGHTS[1] / 1.402, -WEIGHTS[2] / 1.402],
    ]
)
"""Rows: luma, Cb and Cr of red, green and blue, all in their full range (ITU-R BT.601)."""


def wave(count: int, size: int) -> NDArray[np.float64]:
    """Return `count` half waves of the DCT-II over `size` samples, (size,) float64, of mean square 1."""
    angle = np.pi * count * (2 * np.arange(size) + 1) / (2 * size)
    return np.asarray(np.cos(angle) * (np.sqrt(2) if count else 1.0), np.float64)


def illumination(image: NDArray[np.uint8], waves: list[Wave]) -> NDArray[np.float64]:
    """Return how much of each wave an image (H, W, 3) uint8 RGB has, (K,) float64; black is 0, white 1.

    A change of d of one coefficient is a mean square of d² over the picture's plane.
    """
    height, width = image.shape[:2]
    # Rows first: one product for all waves that have one number of half waves downwards.
    planes = image.reshape(height, width * 3).astype(np.float32)
    found = np.empty(len(waves))
    for down in sorted({v for _, v, _ in waves}):
        rows = (wave(down, height).astype(np.float32) @ planes).astype(np.float64).reshape(width, 3)
        for index, (plane, v, across) in enumerate(waves):
            if v == down:
                mixed = rows @ TO_YCBCR[plane]
                found[index] = mixed @ wave(across, width) / (255 * height * width)
    return found
