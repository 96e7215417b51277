"""An MP4 file: the rebuilt main view at the left, the side view it was decoded with at the right.

One file a vehicle: the first gets FILE, others `FILE` with the vehicle's name appended before the suffix.
Times in the file are capture times, so a dropped frame shows as a longer one. A file appears under its name
when it is complete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cloud.sinks.base import SinkFrame
from common.errors import MissingDependency, UsageError
from common.types import RgbImage

_ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "veryfast", "crf": "18"}),
    ("libopenh264", {}),
    ("mpeg4", {"qscale": "3"}),
)
_TICKS_PER_S = 1000
_MAX_GAP_TICKS = 2 * _TICKS_PER_S
"""A longer pause (a lost connection, a clock that was set) is cut to this."""
_FIRST_GAP_TICKS = 1


@dataclass(eq=False)
class _Recording:
    path: Path
    partial: Path
    container: Any
    stream: Any
    height: int
    width: int
    last_capture_ns: int
    last_pts: int = -1


class VideoSink:
    """Write a side-by-side video for each vehicle."""

    def __init__(self, path: Path) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingDependency("av", "cloud") from error
        self._av: Any = av
        if path.suffix.lower() not in (".mp4", ".m4v", ".mov", ".mkv"):
            raise UsageError(f"video sink {path}: the name must end in .mp4, .m4v, .mov or .mkv")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._recordings: dict[str, _Recording] = {}
        self._used: set[Path] = set()

    def write(self, frame: SinkFrame) -> None:
        """Append one frame; a frame that was not decoded is left out."""
        if frame.image is None:
            return
        picture = side_by_side(frame.image, frame.side)
        recording = self._recordings.get(frame.vehicle)
        if recording is not None and (recording.height, recording.width) != picture.shape[:2]:
            self.close_vehicle(frame.vehicle)
            recording = None
        if recording is None:
            recording = self._recordings[frame.vehicle] = self._open(frame, picture)
        gap = (frame.capture_ns - recording.last_capture_ns) * _TICKS_PER_S // 1_000_000_000
        recording.last_pts += min(max(gap, _FIRST_GAP_TICKS), _MAX_GAP_TICKS)
        recording.last_capture_ns = frame.capture_ns
        shown = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        shown.pts, shown.time_base = recording.last_pts, Fraction(1, _TICKS_PER_S)
        recording.container.mux(recording.stream.encode(shown))

    def close_vehicle(self, vehicle: str) -> None:
        """Complete the vehicle's file."""
        recording = self._recordings.pop(vehicle, None)
        if recording is None:
            return
        try:
            recording.container.mux(recording.stream.encode(None))
        finally:
            recording.container.close()
        os.replace(recording.partial, recording.path)

    def close(self) -> None:
        """Complete every file."""
        for vehicle in list(self._recordings):
            self.close_vehicle(vehicle)

    def _open(self, frame: SinkFrame, picture: RgbImage) -> _Recording:
        path = self._name(frame.vehicle)
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        container = self._av.open(str(partial), "w")
        stream = self._stream(container, picture)
        height, width = picture.shape[:2]
        return _Recording(path, partial, container, stream, height, width, frame.capture_ns)

    def _stream(self, container: Any, picture: RgbImage) -> Any:
        for name, options in _ENCODERS:
            try:
                self._av.codec.Codec(name, "w")
            except (ValueError, self._av.FFmpegError):
                continue
            stream = container.add_stream(name, rate=_TICKS_PER_S, options=options)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
            return stream
        raise UsageError(f"video sink: this PyAV has none of {', '.join(name for name, _ in _ENCODERS)}")

    def _name(self, vehicle: str) -> Path:
        base = self._path
        path, count = base, 1
        while path in self._used:
            extra = f"-{vehicle}" if count == 1 else f"-{vehicle}-{count}"
            path, count = base.with_name(f"{base.stem}{extra}{base.suffix}"), count + 1
        self._used.add(path)
        return path


def side_by_side(main: RgbImage, side: RgbImage | None) -> RgbImage:
    """Return (H', W', 3) uint8 RGB: main | side (black without one), padded to even height and width."""
    height = main.shape[0]
    if side is None:
        side = np.zeros_like(main)
    elif side.shape[0] != height:
        canvas = np.zeros((height, side.shape[1], 3), np.uint8)
        canvas[: side.shape[0]] = side[:height]
        side = canvas
    picture = np.concatenate([main, side], axis=1)
    pad = ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0))
    return np.ascontiguousarray(np.pad(picture, pad, mode="edge"))
