from __future__ import annotations

from itertools import count

import cv2
import numpy as np
import pytest

from common.errors import CameraEnded, CameraError
from edge.camera import open_camera
from edge.camera.device import DeviceCamera
from edge.camera.layout import PictureLayout


class FakeCapture:
    """Act as cv2.VideoCapture for `pictures` grabs."""

    def __init__(self, pictures: int, opens: bool = True, fps: float = 15.0) -> None:
        self.left, self.opens, self.fps = pictures, opens, fps
        self.settings: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:
        return self.opens

    def set(self, key: int, value: float) -> bool:
        self.settings[key] = value
        return True

    def get(self, key: int) -> float:
        return self.fps if key == cv2.CAP_PROP_FPS else 0.0

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        picture = np.zeros((64, 200, 3), np.uint8)
        picture[:, :100] = (1, 2, 3)
        picture[:, 100:] = (4, 5, 6)
        return True, picture

    def release(self) -> None:
        self.released = True


def camera(capture: FakeCapture, **options) -> DeviceCamera:
    ticks = count(1_000, 10)
    return DeviceCamera("v4l2:7", 7, lambda: next(ticks), open_capture=lambda _n: capture, **options)


def test_frames_are_stamped_by_the_clock_and_cut_in_two() -> None:
    capture = FakeCapture(10)
    live = camera(capture, limit=2)
    frames = list(live.frames())
    assert [f.capture_ns for f in frames] == [1_000, 1_010]
    assert frames[0].main is not None and frames[0].main[0, 0].tolist() == [3, 2, 1]
    assert frames[0].side is not None and frames[0].side[0, 0].tolist() == [6, 5, 4]
    assert live.fps == 15
    live.close()
    assert capture.released


def test_wishes_reach_the_device() -> None:
    capture = FakeCapture(1)
    live = camera(capture, fps=30.0, size=(720, 2560), layout=PictureLayout.MONO)
    assert capture.settings[cv2.CAP_PROP_FRAME_WIDTH] == 2560
    assert capture.settings[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert capture.settings[cv2.CAP_PROP_FPS] == live.fps == 30
    assert next(live.frames()).side is None


def test_a_device_without_a_rate_is_given_one() -> None:
    assert camera(FakeCapture(1, fps=0.0)).fps == 30


def test_unplugged() -> None:
    seen = []
    with pytest.raises(CameraEnded, match="after 2 frames"):
        for frame in camera(FakeCapture(2)).frames():
            seen.append(frame.seq)
    assert seen == [0, 1]


def test_opened_but_blind() -> None:
    with pytest.raises(CameraError, match="gives no picture"):
        list(camera(FakeCapture(0)).frames())


def test_busy() -> None:
    capture = FakeCapture(1, opens=False)
    with pytest.raises(CameraError, match="cannot be opened"):
        camera(capture)
    assert capture.released


def test_absent_device() -> None:
    with pytest.raises(CameraError, match="there is no /dev/video9876"):
        open_camera("v4l2:9876")
