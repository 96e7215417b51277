"""Fidelity of a picture in plain numpy: PSNR and MS-SSIM.

MS-SSIM follows Wang, Simoncelli and Bovik (2003) on RGB with the paper's window of 7: a Gaussian of sigma 1.5
without padding, five levels, each half the size of the one before (2x2 mean), the contrast-structure term
averaged over pixels and channels, the luminance term at the coarsest level only. Reports show it in decibels,
-10 log10(1 - v), since values near 1 cannot be told apart.

The learned metrics (LPIPS, DISTS) need torch and live in `benchmarks/rd/metrics.py`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import FrameSizeError, InputError

LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 7
SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
_PSNR_CAP_DB = 100.0
_DB_FLOOR = 1e-6


def psnr(reference: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and channels, at most 100.

    Raises:
        InputError: the two pictures differ in shape.
    """
    _check_same_shape(reference, picture)
    difference = reference.astype(np.float32) - picture.astype(np.float32)
    mse = float(np.mean(np.square(difference), dtype=np.float64))
    if mse == 0.0:
        return _PSNR_CAP_DB  # identical pictures: a finite number keeps means and JSON files sane
    return min(_PSNR_CAP_DB, 10.0 * float(np.log10(255.0**2 / mse)))


def ms_ssim(reference: NDArray[np.uint8], picture: NDArray[np.uint8], window: int = WINDOW) -> float:
    """Return the multi-scale structural similarity of two (H, W, 3) uint8 RGB pictures, in [0, 1].

    Args:
        reference: the original.
        picture: what is judged.
        window: side of the Gaussian window in pixels, odd.

    Raises:
        InputError: the two pictures differ in shape.
        FrameSizeError: the shorter side is below `window` * 16, too small for five levels.
    """
    _check_same_shape(reference, picture)
    height, width = reference.shape[:2]
    smallest = window * 2 ** (len(LEVEL_WEIGHTS) - 1)
    if min(height, width) < smallest:
        why = f"five-level MS-SSIM with window {window} needs each side to be at least {smallest} pixels"
        raise FrameSizeError(height, width, why)
    a, b = reference.astype(np.float64), picture.astype(np.float64)
    value = 1.0
    for level, weight in enumerate(LEVEL_WEIGHTS):
        contrast, full = _ssim_means(a, b, window)
        last = level == len(LEVEL_WEIGHTS) - 1
        value *= max(0.0, full if last else contrast) ** weight
        if not last:
            a, b = _half(a), _half(b)
    return value


def ms_ssim_db(value: float) -> float:
    """Return an MS-SSIM value in dB: -10 log10(1 - v), at most 60."""
    return -10.0 * float(np.log10(max(_DB_FLOOR, 1.0 - value)))


def _check_same_shape(reference: NDArray[Any], picture: NDArray[Any]) -> None:
    if reference.shape != picture.shape:
        raise InputError(f"pictures differ in shape: {reference.shape} and {picture.shape}")


def _ssim_means(a: NDArray[np.float64], b: NDArray[np.float64], window: int) -> tuple[float, float]:
    """Return the mean contrast-structure term and the mean full SSIM of one level."""
    mean_a, mean_b = _blur(a, window), _blur(b, window)
    variance_a = _blur(a * a, window) - mean_a**2
    variance_b = _blur(b * b, window) - mean_b**2
    covariance = _blur(a * b, window) - mean_a * mean_b
    contrast = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float(contrast.mean()), float((contrast * luminance).mean())


def _blur(x: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Filter with the Gaussian and keep only the pixels whose window lies inside the picture."""
    offsets = np.arange(window) - window // 2
    kernel = np.exp(-(offsets**2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    blurred = np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel), dtype=np.float64)
    margin = window // 2
    return blurred[margin : x.shape[0] - margin, margin : x.shape[1] - margin]


def _half(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 2x2 mean; an odd last row or column is left out."""
    height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    x = x[:height, :width]
    return (x[0::2, 0::2] + x[1::2, 0::2] + x[0::2, 1::2] + x[1::2, 1::2]) / 4
