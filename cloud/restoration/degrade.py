"""Side views as lossy codecs leave them, for training and measuring the restorer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from common.errors import MissingDependency
from common.types import RgbImage

JPEG, WEBP, HEVC, HALF, CLEAN = "jpeg", "webp", "hevc", "hevc-half", "clean"
SHARES = {JPEG: 0.38, WEBP: 0.08, HEVC: 0.36, HALF: 0.15, CLEAN: 0.03}
"""How often each is drawn in training."""
_STILL = {JPEG: (".jpg", cv2.IMWRITE_JPEG_QUALITY), WEBP: (".webp", cv2.IMWRITE_WEBP_QUALITY)}
_JPEG_RANGE, _HEVC_RANGE = (5, 97), (10, 48)


@dataclass(frozen=True)
class Coding:
    """A lossy codec and its setting.

    Attributes:
        kind: `jpeg`, `webp`, `hevc` (intra), `hevc-half` (coded at half the height and width), or `clean`: not coded.
        value: JPEG or WebP quality, or HEVC QP.
    """

    kind: str
    value: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == CLEAN else f"{self.kind}:{self.value}"


def draw_coding(rng: random.Random) -> Coding:
    """Return a random coding: JPEG and WebP from 5 to 97, HEVC from QP 10 to 48, now and then at half size or none."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == CLEAN:
        return Coding(CLEAN)
    if kind in (JPEG, WEBP):
        # Low qualities change the picture more from step to step than high ones: uniform in the root.
        low, high = (value**0.5 for value in _JPEG_RANGE)
        return Coding(kind, round(rng.uniform(low, high) ** 2))
    return Coding(kind, rng.randint(*_HEVC_RANGE))


def code(image: RgbImage, coding: Coding) -> RgbImage:
    """Return (H, W, 3) uint8 RGB as the codec gives it back; H and W even, for `hevc-half` multiples of 4.

    Raises:
        MissingDependency: HEVC without PyAV.
    """
    if coding.kind == CLEAN:
        return image
    if coding.kind in (JPEG, WEBP):
        ending, flag = _STILL[coding.kind]
        _, data = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [flag, coding.value])
        back: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(back, cv2.COLOR_BGR2RGB), np.uint8)
    if coding.kind == HEVC:
        return _hevc(image, coding.value)
    height, width = image.shape[:2]
    small = np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
    back = cv2.resize(_hevc(small, coding.value), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(back, np.uint8)


def _hevc(image: RgbImage, qp: int) -> RgbImage:
    """Return a picture as x265 leaves it, coded intra with a fixed QP."""
    try:
        import av
    except ImportError as error:
        raise MissingDependency("av", "cloud") from error
    encoder: Any = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 10)
    parameters = f"qp={qp}:log-level=none:pools=1:frame-threads=1:keyint=1:repeat-headers=1"
    encoder.options = {"preset": "superfast", "tune": "zerolatency", "x265-params": parameters}
    units = [*encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24")), *encoder.encode(None)]
    decoder: Any = av.CodecContext.create("hevc", "r")
    frames = [frame for unit in units for frame in decoder.decode(unit)] + list(decoder.decode(None))
    return np.ascontiguousarray(frames[0].to_ndarray(format="rgb24"))
