"""Serve the frames of a seeded synthetic stereo street, with exact disparity, labels and captions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import FrameSizeError
from common.synthetic.calibration import calibration_text
from common.synthetic.caption import describe
from common.synthetic.geometry import Rig
from common.synthetic.oxts import OxtsRecorder
from common.synthetic.path import seed_words
from common.synthetic.polygons import View
from common.synthetic.render import Renderer
from common.synthetic.scene import Street
from common.types import RgbImage, RigRecord

_NOISE_SIZE = 512
_EPOCH_NS = 1_600_000_000_000_000_000


@dataclass(frozen=True, eq=False)
class SyntheticFrame:
    """Hold one stereo frame of a synthetic street.

    Attributes:
        main: (H, W, 3) uint8 RGB, the left camera.
        side: (H, W, 3) uint8 RGB, the right camera.
        disparity: (H, W) float32 pixels aligned with main: main (x, y) is seen at side (x - disparity, y).
        labels: (H, W) uint8 Cityscapes train ids of main, 255 for none.
        caption: A sentence that says what is in main.
        capture_ns: Capture time in nanoseconds.
    """

    main: RgbImage
    side: RgbImage
    disparity: NDArray[np.float32]
    labels: NDArray[np.uint8]
    caption: str
    capture_ns: int


class StereoStreet:
    """Drive along a procedural street; every frame depends on the seed and its index alone.

    Args:
        seed: Chooses the street: buildings, trees, traffic, light, weather.
        height: Rows of both views, 64 to 4096.
        width: Columns of both views, 64 to 4096.
        fps: Frames per second of the drive.
        ideal: Leave out what tells two real cameras apart (exposure and noise); for checking the geometry.

    Raises:
        FrameSizeError: A side is outside 64 to 4096.
    """

    def __init__(
        self, seed: int, height: int = 256, width: int = 832, fps: float = 10.0, ideal: bool = False
    ) -> None:
        if not (64 <= height <= 4096 and 64 <= width <= 4096):
            raise FrameSizeError(height, width)
        self.seed, self.height, self.width, self.fps = seed, height, width, float(fps)
        self.rig = Rig.kitti_like(height, width)
        self.street = Street(seed)
        self._renderer = Renderer(self.street, self.rig)
        self._oxts = OxtsRecorder(seed, fps)
        rng = np.random.default_rng([*seed_words(seed), 99])
        self._gains = (
            np.ones((2, 3)) if ideal else rng.normal(1.0, 0.012, (2, 3)) * rng.normal(1.0, 0.015, (2, 1))
        )
        self._sigma = 0.0 if ideal else float(rng.uniform(0.8, 2.0))
        self._grain = rng.normal(0, 1, (_NOISE_SIZE, _NOISE_SIZE, 3)).astype(np.float32)

    def frame(self, index: int) -> SyntheticFrame:
        """Draw frame `index` (0 and up) of the drive."""
        seconds = index / self.fps
        instances = self.street.instances(seconds)
        views = self._renderer.draw(self.street.pose(seconds), instances)
        main, side = (self._expose(view, index, camera) for camera, view in enumerate(views))
        caption = describe(views[0].labels, views[0].owners, instances)
        disparity = np.maximum(views[0].disparity, 0)
        return SyntheticFrame(main, side, disparity, views[0].labels, caption, self.capture_ns(index))

    def records(self, index: int) -> tuple[RigRecord, ...]:
        """Return what the rig says at frame `index`: where it is and how it moves; first of all its calibration."""
        oxts = RigRecord("oxts", self._oxts.record(index))
        return (RigRecord("calib_cam_to_cam", calibration_text(self.rig)), oxts) if index == 0 else (oxts,)

    def capture_ns(self, index: int) -> int:
        """Return when frame `index` was captured."""
        return _EPOCH_NS + round(index * 1e9 / self.fps)

    def _expose(self, view: View, index: int, camera: int) -> RgbImage:
        """Turn a drawn view into a photograph: distance haze, colour of the light, exposure, sensor noise."""
        style, rig = self.street.style, self.rig
        reach = rig.focal_px * rig.baseline_m / style.haze_m
        clear = np.where(view.disparity > 0, np.exp(-reach / np.maximum(view.disparity, 1e-3)), 1.0).astype(
            np.float32
        )
        picture = view.image.astype(np.float32)
        gain = (self._gains[camera] * style.light.colour).astype(np.float32)
        haze = (np.array(style.haze) * gain).astype(np.float32)
        picture = picture * (clear[..., None] * gain) + (1 - clear)[..., None] * haze
        if self._sigma > 0:
            rng = np.random.default_rng([*seed_words(self.seed), 98, index, camera])
            picture += self._sigma * self._noise(rng)
        photograph: RgbImage = np.asarray(cv2.convertScaleAbs(np.maximum(picture, 0)), np.uint8)
        return photograph

    def _noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Cut an (H, W, 3) patch of sensor noise at a random place of the stored grain."""
        y, x = rng.integers(0, _NOISE_SIZE, 2)
        rows, columns = (np.arange(self.height) + y) % _NOISE_SIZE, (np.arange(self.width) + x) % _NOISE_SIZE
        patch: NDArray[np.float32] = np.take(np.take(self._grain, rows, axis=0), columns, axis=1)
        return patch
