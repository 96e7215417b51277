"""A textured wall seen by two cameras: the simplest stereo pair whose disparity is known."""

import cv2
import numpy as np


def textured(height=128, width=320, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def shifted(image, pixels):
    """The right camera's view of a flat wall `pixels` of disparity away."""
    return np.ascontiguousarray(np.roll(image, -pixels, axis=1))
