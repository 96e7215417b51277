"""Play a video file: a side-by-side stereo recording, or one view alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from common.errors import CameraError, MissingDependency
from common.types import StereoFrame
from edge.camera.layout import PictureLayout, split


class VideoCamera:
    """Yield the frames of a video: left half main, right half side, or with `MONO` the whole picture as main.

    Capture times are the file's own presentation times, made to increase strictly where the file repeats one.
    """

    def __init__(
        self,
        spec: str,
        path: str,
        layout: PictureLayout = PictureLayout.SIDE_BY_SIDE,
        fps: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Open the file and read its header.

        Raises:
            CameraError: The file is missing, is no video, or is too narrow to hold two views.
            MissingDependency: PyAV is not installed.
        """
        self.name = spec
        self._av = _pyav()
        self._path, self._layout, self._limit = path, layout, limit
        if not Path(path).is_file():
            raise CameraError(spec, f"no such file: {path}")
        try:
            self._container = self._av.open(path)
            streams = self._container.streams.video
        except (OSError, ValueError) as error:
            raise CameraError(spec, f"cannot be opened as a video: {error}") from error
        if not streams:
            self.close()
            raise CameraError(spec, "holds no video stream")
        self._stream = streams[0]
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._file_fps = float(rate) if rate else 10.0
        self.fps = fps if fps is not None else self._file_fps
        width = self._stream.codec_context.width
        if layout is PictureLayout.SIDE_BY_SIDE and width < 2:
            self.close()
            raise CameraError(spec, f"is {width} px wide and cannot hold two views side by side")

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        """Yield the frames in order, from number `start` on.

        Raises:
            CameraError: The file is damaged from some frame on.
        """
        index, last_ns = 0, -1
        pictures = self._container.decode(self._stream)
        while self._limit is None or index < self._limit:
            try:
                picture = next(pictures, None)
                if picture is None:
                    break
                image = picture.to_ndarray(format="rgb24") if index >= start else None
            except (OSError, ValueError) as error:
                raise CameraError(self.name, f"damaged after {index} frames: {error}") from error
            time_s = picture.time
            capture_ns = round(time_s * 1e9) if time_s is not None else round(index * 1e9 / self._file_fps)
            last_ns = max(capture_ns, last_ns + 1)
            if image is not None:
                main, side = split(image, self._layout)
                yield StereoFrame(index, last_ns, main, side)
            index += 1
        if index == 0 and self._limit != 0:
            raise CameraError(self.name, "holds no frame that decodes")

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingDependency("av", "edge") from error
    module: ModuleType = av
    return module
