from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.datasets.images import list_images, read_image
from common.errors import ImageUnreadable


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    bgr = np.zeros((2, 3, 3), np.uint8)
    bgr[:] = (30, 20, 10)
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [10, 20, 30] and image.flags.c_contiguous


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(30)])
def test_what_does_not_decode(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ImageUnreadable, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="No such file"):
        read_image(tmp_path / "gone.png")


def test_listing_takes_images_alone_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.webp", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert list(list_images(tmp_path)) == ["a", "b"]
