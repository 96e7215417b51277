"""Side views as lossy codecs leave them, for training and measuring the restorer."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from common.errors import MissingDependency
from common.types import RgbImage

JPEG, WEBP, HEVC, HALF, CLEAN = "jpeg", "webp", "hevc", "hevc-half", "clean"
AV1, AV1_HALF = "av1", "av1-half"
SHARES = {JPEG: 0.32, WEBP: 0.06, HEVC: 0.24, HALF: 0.09, AV1: 0.17, AV1_HALF: 0.09, CLEAN: 0.03}
"""How often each is drawn in training."""
_STILL = {JPEG: (".jpg", cv2.IMWRITE_JPEG_QUALITY), WEBP: (".webp", cv2.IMWRITE_WEBP_QUALITY)}
_JPEG_RANGE, _HEVC_RANGE, _AV1_RANGE = (5, 97), (10, 48), (20, 70)
_WHOLE = {HALF: HEVC, AV1_HALF: AV1}


@dataclass(frozen=True)
class Coding:
    """A lossy codec and its setting.

    Attributes:
        kind: `jpeg`, `webp`, `hevc` or `av1` (intra), `hevc-half` or `av1-half` (coded at half the height and width),
            or `clean`: not coded.
        value: JPEG or WebP quality, HEVC's QP, AV1's CRF.
    """

    kind: str
    value: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == CLEAN else f"{self.kind}:{self.value}"


def draw_coding(rng: random.Random) -> Coding:
    """Return a random coding: JPEG and WebP from 5 to 97, HEVC from QP 10 to 48, AV1 from CRF 20 to 70, or none."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == CLEAN:
        return Coding(CLEAN)
    if kind in (JPEG, WEBP):
        # Low qualities change the picture more from step to step than high ones: uniform in the root.
        low, high = (value**0.5 for value in _JPEG_RANGE)
        return Coding(kind, round(rng.uniform(low, high) ** 2))
    return Coding(kind, rng.randint(*(_AV1_RANGE if kind in (AV1, AV1_HALF) else _HEVC_RANGE)))


def code(image: RgbImage, coding: Coding) -> RgbImage:
    """Return (H, W, 3) uint8 RGB as the codec gives it back; H and W even, for those at half size multiples of 4.

    Raises:
        MissingDependency: HEVC or AV1 without PyAV.
    """
    if coding.kind == CLEAN:
        return image
    if coding.kind in (JPEG, WEBP):
        ending, flag = _STILL[coding.kind]
        _, data = cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [flag, coding.value])
        back: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(back, cv2.COLOR_BGR2RGB), np.uint8)
    if coding.kind in _VIDEO:
        return _intra(image, *_VIDEO[coding.kind](coding.value))
    height, width = image.shape[:2]
    small = np.asarray(cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
    back = code(small, Coding(_WHOLE[coding.kind], coding.value))
    back = cv2.resize(back, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(back, np.uint8)


def _hevc(qp: int) -> tuple[str, str, dict[str, str]]:
    """Return x265's name, its decoder's, and its options for a fixed QP."""
    parameters = f"qp={qp}:log-level=none:pools=1:frame-threads=1:keyint=1:repeat-headers=1"
    return "libx265", "hevc", {"preset": "superfast", "tune": "zerolatency", "x265-params": parameters}


def _av1(crf: int) -> tuple[str, str, dict[str, str]]:
    """Return SVT-AV1's name, its decoder's, and its options for a CRF."""
    return "libsvtav1", "libdav1d", {"preset": "10", "svtav1-params": f"crf={crf}:lp=1"}


_VIDEO = {HEVC: _hevc, AV1: _av1}


def _intra(image: RgbImage, encoder_name: str, decoder_name: str, options: dict[str, str]) -> RgbImage:
    """Return a picture as a video codec leaves it, coded as a single frame."""
    try:
        import av
    except ImportError as error:
        raise MissingDependency("av", "cloud") from error
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its banner to stderr otherwise
    try:
        encoder: Any = av.CodecContext.create(encoder_name, "w")
    except ValueError as error:
        raise MissingDependency(f"PyAV with {encoder_name}", "cloud") from error
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 10)
    encoder.options = options
    with ordinary_priority():
        units = [*encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24")), *encoder.encode(None)]
    decoder: Any = av.CodecContext.create(decoder_name, "r")
    frames = [frame for unit in units for frame in decoder.decode(unit)] + list(decoder.decode(None))
    return np.ascontiguousarray(frames[0].to_ndarray(format="rgb24"))


@contextlib.contextmanager
def ordinary_priority() -> Iterator[None]:
    """Put this thread's scheduling class back afterwards: as root, SVT-AV1 makes it real-time and never undoes it."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)
