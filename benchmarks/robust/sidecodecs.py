"""The side view after a conventional codec, from lossless to about 0.05 bits per pixel.

Bytes are counted as for the conventional codecs of `benchmarks/rd/codecs.py`: what a stream must send for every frame,
without headers and tables that are the same for all.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.rd.codecs import HevcIntra, Jpeg, webp_payload_bytes
from common.types import RgbImage

JPEG_QUALITIES = (95, 75, 50, 25, 10, 5)
HEVC_QPS = (4, 14, 22, 28, 34, 40, 46, 51)
HEVC_HALF_QPS = (38, 44, 51)
"""Coded at half the height and width: at 128x256 full-size HEVC stops far above 0.05 bpp."""


@dataclass(frozen=True, eq=False)
class Rung:
    """Hold one setting of one codec: `code` returns the decoded picture and its payload in bytes."""

    key: str
    label: str
    code: Callable[[RgbImage], tuple[RgbImage, int]]


def lossless_bytes(image: RgbImage) -> int:
    """Return the payload of a picture as lossless WebP."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", lossless=True, method=3)
    return webp_payload_bytes(buffer.getvalue())


def ladder() -> list[Rung]:
    """Return every lossy rung, JPEG first, the finest of each codec first."""
    rungs = [Rung(f"jpeg:{q}", f"JPEG {q}", _jpeg(q)) for q in JPEG_QUALITIES]
    rungs += [Rung(f"hevc:{qp}", f"HEVC intra QP {qp}", _hevc(qp)) for qp in HEVC_QPS]
    halves = [(f"hevc-half:{qp}", f"HEVC intra QP {qp}, half size", _half(_hevc(qp))) for qp in HEVC_HALF_QPS]
    return rungs + [Rung(*half) for half in halves]


def _jpeg(quality: int) -> Callable[[RgbImage], tuple[RgbImage, int]]:
    def code(image: RgbImage) -> tuple[RgbImage, int]:
        coded = Jpeg().code(image, quality)
        return coded.image, coded.payload_bytes

    return code


def _hevc(qp: int) -> Callable[[RgbImage], tuple[RgbImage, int]]:
    def code(image: RgbImage) -> tuple[RgbImage, int]:
        coded = HevcIntra().code(image, qp)
        return coded.image, coded.payload_bytes

    return code


def _half(code: Callable[[RgbImage], tuple[RgbImage, int]]) -> Callable[[RgbImage], tuple[RgbImage, int]]:
    def halved(image: RgbImage) -> tuple[RgbImage, int]:
        height, width = image.shape[:2]
        small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        decoded, size = code(np.ascontiguousarray(small, dtype=np.uint8))
        large = cv2.resize(decoded, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(large, dtype=np.uint8), size

    return halved
