"""Write tiny stereo trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

CALIBRATION = (
    "calib_time: 09-Jan-2012 13:57:47\n"
    "P_rect_02: 7.2e+02 0 6.1e+02 4.5e+01 0 7.2e+02 1.7e+02 2e-01 0 0 1 2e-03\n"
    "P_rect_03: 7.2e+02 0 6.1e+02 -3.42e+02 0 7.2e+02 1.7e+02 2e+00 0 0 1 3e-03\n"
)


def write_image(path: Path, value: int, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((8, 12, 3) if channels == 3 else (8, 12), value, np.uint8)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def make_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Write images of the given stems; main is 10 + its place, side 100 + its place."""

    def make(main: str, side: str, stems: Iterable[str], suffix: str = ".png", channels: int = 3) -> Path:
        for place, stem in enumerate(stems):
            write_image(tmp_path / main / f"{stem}{suffix}", 10 + place, channels)
            write_image(tmp_path / side / f"{stem}{suffix}", 100 + place, channels)
        return tmp_path

    return make


@pytest.fixture
def calibration_text() -> str:
    return CALIBRATION
