"""An MP4 with pictures below each other, a caption over each: wide frames side by side would be too small to judge."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.sequence.clip import RATE_HZ
from common.errors import MissingDependency
from common.types import RgbImage

CAPTION_PX = 24
_ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "medium", "crf": "16"}),
    ("libopenh264", {"b": "12000000"}),
    ("mpeg4", {"qscale": "2"}),
)


def stack(panels: Sequence[tuple[str, RgbImage]]) -> RgbImage:
    """Return (H', W', 3) uint8 RGB: each picture under its caption, padded to even height and width."""
    width = panels[0][1].shape[1]
    parts = []
    for caption, image in panels:
        strip = np.full((CAPTION_PX, width, 3), 245, np.uint8)
        text = caption.encode("ascii", "replace").decode()
        cv2.putText(strip, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
        parts += [strip, image]
    picture = np.concatenate(parts)
    pad = ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0))
    return np.ascontiguousarray(np.pad(picture, pad, mode="edge"))


class Movie:
    """Write a comparison video; the file appears under its name when it is complete."""

    def __init__(self, path: Path, height: int, width: int, panels: int) -> None:
        """Open a video of so many panels of (height, width).

        Raises:
            MissingDependency: no PyAV, or one without any H.264 or MPEG-4 encoder.
        """
        try:
            import av
        except ImportError as error:
            raise MissingDependency("av", "bench") from error
        self._av: Any = av
        self._path, self._partial = path, path.with_name(f".{path.stem}.partial{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._partial), "w")
        self._stream = self._open_stream()
        rows = panels * (height + CAPTION_PX)
        self._stream.width, self._stream.height = width + width % 2, rows + rows % 2
        self._stream.pix_fmt = "yuv420p"
        self._count = 0

    def _open_stream(self) -> Any:
        for name, options in _ENCODERS:
            with contextlib.suppress(ValueError, self._av.FFmpegError):
                self._av.Codec(name, "w")
                return self._container.add_stream(name, rate=round(RATE_HZ), options=options)
        self.abandon()
        raise MissingDependency("an H.264 or MPEG-4 encoder (a PyAV built with one)", "bench")

    def write(self, panels: Sequence[tuple[str, RgbImage]]) -> None:
        """Append a frame of captioned (H, W, 3) uint8 RGB pictures."""
        frame = self._av.VideoFrame.from_ndarray(stack(panels), format="rgb24")
        frame.pts, frame.time_base = self._count, Fraction(1, round(RATE_HZ))
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Complete the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        os.replace(self._partial, self._path)

    def abandon(self) -> None:
        """Leave no file behind."""
        with contextlib.suppress(Exception):
            self._container.close()
        self._partial.unlink(missing_ok=True)
