"""Write what cameras play: a tiny dataset, a side-by-side video."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    for view, base in (("left", 10), ("right", 100)):
        (tmp_path / view).mkdir()
        for n in range(4):
            cv2.imwrite(str(tmp_path / view / f"{n:06d}.png"), np.full((64, 96, 3), base + n, np.uint8))
    return tmp_path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five frames at 20 per second: left half dark, right half bright."""
    av = pytest.importorskip("av", reason="PyAV is not installed (extra: edge)")
    path = tmp_path / "pair.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        stream.bit_rate = 4_000_000
        for n in range(5):
            picture = np.full((64, 256, 3), 40 + 4 * n, np.uint8)
            picture[:, 128:] = 180 + 4 * n
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
