"""Read image files as the arrays the encoder takes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from common.errors import FrameSizeError, ImageUnreadable
from common.types import RgbImage

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_FILE_BYTES = 256 << 20
MAX_PIXELS_A_SIDE = 1 << 14
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def read_image(path: Path) -> RgbImage:
    """Return the image in a file as (H, W, 3) uint8 RGB, C-contiguous; alpha is dropped, grey is tripled.

    Raises:
        ImageUnreadable: no such file, or it does not decode.
        FrameSizeError: a PNG announces a size far beyond what is coded (small files can unfold to gigabytes).
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImageUnreadable(path, f"larger than {MAX_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise ImageUnreadable(path, error.strerror or str(error)) from None
    if not data:
        raise ImageUnreadable(path, "the file is empty")
    if data.startswith(_PNG_MAGIC) and len(data) >= 24:
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        if max(height, width) > MAX_PIXELS_A_SIDE:
            raise FrameSizeError(height, width, f"in {path}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageUnreadable(path, f"it does not decode ({error.err})") from None
    if image is None:
        raise ImageUnreadable(path, "it does not decode as an image")
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder by name, hidden ones left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
