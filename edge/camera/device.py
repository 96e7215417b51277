"""Read a live camera through Video4Linux: a stereo camera that delivers both views side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2

from common.errors import CameraEnded, CameraError
from common.types import StereoFrame
from edge.camera.layout import PictureLayout, split

Clock = Callable[[], int]
"""Returns nanoseconds."""
OpenCapture = Callable[[int], Any]
"""Opens device N as something with the methods of `cv2.VideoCapture`."""


class DeviceCamera:
    """Yield what /dev/videoN sees; every frame is stamped by the clock when the driver hands it over."""

    def __init__(
        self,
        spec: str,
        number: int,
        clock: Clock,
        layout: PictureLayout = PictureLayout.SIDE_BY_SIDE,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        limit: int | None = None,
        open_capture: OpenCapture | None = None,
    ) -> None:
        """Open the device.

        Args:
            spec: What the user wrote.
            number: N of /dev/videoN.
            clock: Gives the capture time in nanoseconds.
            layout: How a picture holds the views.
            size: Height and width to ask the device for (of the whole picture); what it gives may differ.
            fps: Frame rate to ask for.
            limit: Stop after so many frames.
            open_capture: Replaces the device in tests.

        Raises:
            CameraError: There is no such device or it cannot be opened.
        """
        self.name, self._clock, self._layout, self._limit = spec, clock, layout, limit
        if open_capture is None:
            # Asked first: OpenCV prints warnings of its own about a device that is not there.
            if not os.path.exists(f"/dev/video{number}"):
                raise CameraError(spec, f"there is no /dev/video{number}")
            open_capture = _open_v4l2
        self._capture = open_capture(number)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(spec, f"/dev/video{number} cannot be opened (in use, or not a capture device)")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        given = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if fps is not None else given if 0 < given < 1000 else 30.0

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        """Yield frames as they come; `start` changes nothing, since nothing that was seen comes again.

        Raises:
            CameraError: The device gives no picture at all.
            CameraEnded: It stops giving pictures (unplugged).
        """
        index = 0
        while self._limit is None or index < self._limit:
            grabbed = self._capture.grab()
            capture_ns = self._clock()
            ok, picture = self._capture.retrieve() if grabbed else (False, None)
            if not ok or picture is None:
                if index == 0:
                    raise CameraError(self.name, "opened, but gives no picture")
                raise CameraEnded(self.name, f"no more pictures after {index} frames")
            main, side = split(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), self._layout)
            yield StereoFrame(index, capture_ns, main, side)
            index += 1

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


def _open_v4l2(number: int) -> Any:
    return cv2.VideoCapture(number, cv2.CAP_V4L2)
