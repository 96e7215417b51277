"""Cut the pictures of a stereo camera into main and side view."""

from __future__ import annotations

from enum import Enum

import numpy as np

from common.errors import CameraError
from common.types import RgbImage


class PictureLayout(str, Enum):
    """Name how one picture holds the views."""

    SIDE_BY_SIDE = "sbs"
    """Left half main, right half side (ZED and most stereo cameras)."""
    MONO = "mono"
    """The whole picture is the main view; there is no side view."""


def parse_layout(spec: str, text: str) -> PictureLayout:
    """Return the layout named by a spec's option.

    Raises:
        CameraError: There is no such layout.
    """
    try:
        return PictureLayout(text)
    except ValueError:
        known = ", ".join(layout.value for layout in PictureLayout)
        raise CameraError(spec, f"unknown layout {text!r} (known: {known})") from None


def split(picture: RgbImage, layout: PictureLayout) -> tuple[RgbImage, RgbImage | None]:
    """Cut a picture (H, W, 3) into main and side; of an odd width the last column is left out."""
    if layout is PictureLayout.MONO:
        return np.ascontiguousarray(picture), None
    half = picture.shape[1] // 2
    return np.ascontiguousarray(picture[:, :half]), np.ascontiguousarray(picture[:, half : 2 * half])
