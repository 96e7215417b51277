"""What these tests share: the real weights where they are at hand, a textured pair of known disparity."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.downstream.teachers import TEACHERS_VARIABLE
from benchmarks.rd.protocol import Sample


@pytest.fixture(scope="session")
def teachers():
    """Return the folder of the frozen networks' weights, or skip."""
    value = os.environ.get(TEACHERS_VARIABLE)
    if not value:
        pytest.skip(f"{TEACHERS_VARIABLE} is not set: point it at the frozen networks' weights")
    folder = Path(value)
    assert folder.is_dir(), f"{TEACHERS_VARIABLE}={value} is not a folder"
    return folder


@pytest.fixture(scope="session")
def pair():
    """Return a pair of 96x240 at one disparity of 10 px: main(x) = side(x - 10)."""
    rng = np.random.default_rng(0)
    coarse = cv2.GaussianBlur(rng.normal(0, 1, (96, 300, 3)), (0, 0), 2.0)
    fine = cv2.GaussianBlur(rng.normal(0, 1, (96, 300, 3)), (0, 0), 0.8)
    world = np.clip(128 + 160 * coarse + 60 * fine, 0, 255).astype(np.uint8)
    main, side = world[:, 20:260].copy(), world[:, 30:270].copy()
    return Sample("texture/000000", main, side, 5000, main, side)
