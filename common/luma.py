"""Luma of a picture and its block transform: what the refinement codes (proto/BITSTREAM.md, section 5.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue (ITU-R BT.601)."""


def basis(size: int = BLOCK) -> NDArray[np.float32]:
    """Return the orthonormal DCT-II, (size, size) float32: row k is frequency k."""
    k, n = np.arange(size)[:, None], np.arange(size)[None]
    waves = np.cos(np.pi * (2 * n + 1) * k / (2 * size)) * np.sqrt(2 / size)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)


def luma(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luma (H, W) float32 in [0, 1] of an (H, W, 3) uint8 RGB image."""
    return np.asarray(image @ (np.array(WEIGHTS, np.float32) / 255), np.float32)


def coefficients(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H/16, W/16, 16, 16) float32, vertical frequency first, of a plane (H, W); sides are multiples of 16."""
    height, width = plane.shape
    blocks = plane.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    waves = basis()
    return np.asarray(waves @ blocks @ waves.T, np.float32)
