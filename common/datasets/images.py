"""Read image files into RGB arrays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from common.errors import ImageUnreadable
from common.types import RgbImage

IMAGE_SUFFIXES = frozenset({".png", ".webp", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"})


def read_image(path: str | Path) -> RgbImage:
    """Read one image as (H, W, 3) uint8 RGB; grey images become three equal channels.

    Raises:
        ImageUnreadable: The file is missing, empty or does not decode.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageUnreadable(path, error.strerror or str(error)) from error
    if data.size == 0:
        raise ImageUnreadable(path, "the file is empty")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageUnreadable(path, str(error)) from error
    if image is None:
        raise ImageUnreadable(path, f"{data.size} bytes that do not decode as an image")
    rgb: RgbImage = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return rgb


def list_images(folder: Path) -> dict[str, Path]:
    """List the images directly in a folder by stem, in the order of their names."""
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    )
    return {p.stem: p for p in files if p.is_file()}
