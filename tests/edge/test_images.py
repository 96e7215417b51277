from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import FrameSizeError, ImageUnreadable
from edge.images import list_images, read_image


def test_colours_come_as_rgb(tmp_path: Path) -> None:
    image = np.zeros((64, 65, 3), np.uint8)
    image[..., 0] = 200  # red
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    back = read_image(tmp_path / "a.png")
    assert np.array_equal(back, image) and back.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("shape", [(64, 70), (64, 70, 4)])
def test_grey_and_alpha_become_three_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full(shape, 90, np.uint8))
    assert read_image(tmp_path / "a.png").shape == (64, 70, 3)


@pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_unreadable(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(ImageUnreadable, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")


def test_missing_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageUnreadable):
            read_image(path)


def test_announced_size_is_checked_before_decoding(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    with pytest.raises(FrameSizeError, match="100000x100000"):
        read_image(tmp_path / "bomb.png")


def test_listing(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.JPG", "b.png"]
