"""AV1 intra at our bytes: the setting whose size is nearest, and a shrunken picture where none is small enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.rd.codecs import Codec, Coded
from common.types import RgbImage

COARSEST, FINEST = 63, 1
"""The range of AV1's CRF searched; a higher number takes fewer bytes."""
FACTORS = (2, 3, 4)
"""How far a picture is shrunk, the least factor first, until the coarsest setting fits."""
LEAST_SIDE = 64
"""Smaller pictures are not coded."""
SLACK = 1.1
"""A picture up to a tenth larger than ours still counts as one of equal bytes."""


@dataclass(frozen=True, eq=False)
class Rival:
    """Hold a conventionally coded picture of about the bytes asked for.

    Attributes:
        payload_bytes: bytes that count for its rate.
        image: (H, W, 3) uint8 RGB at the source's size.
        setting: the codec's setting.
        factor: how far the picture was shrunk before coding, 1 for not at all.
    """

    payload_bytes: int
    image: RgbImage
    setting: int
    factor: int


class EqualBytes:
    """Search one picture's settings; what was coded once is kept for the next target."""

    def __init__(self, codec: Codec, image: RgbImage) -> None:
        self._codec, self._image = codec, image
        self._shrunk: dict[int, RgbImage] = {1: image}
        self._coded: dict[tuple[int, int], Coded] = {}

    def whole(self, payload_bytes: int) -> Rival:
        """Return the full-size picture whose bytes are nearest in ratio; it may be larger at the lowest rates."""
        return self._nearest(payload_bytes, 1)

    def shrunk(self, payload_bytes: int) -> Rival | None:
        """Return a shrunken picture, enlarged again, of nearest bytes; None where the full size fits anyway.

        The least of the factors 2, 3, 4 whose coarsest setting fits is taken, else the largest that can be coded.
        """
        if self._at(1, COARSEST).payload_bytes <= payload_bytes * SLACK:
            return None
        possible = [f for f in FACTORS if min(self._image.shape[:2]) // f >= LEAST_SIDE]
        if not possible:
            return None
        fitting = (f for f in possible if self._at(f, COARSEST).payload_bytes <= payload_bytes * SLACK)
        return self._nearest(payload_bytes, next(fitting, possible[-1]))

    def _nearest(self, payload_bytes: int, factor: int) -> Rival:
        """Bisect for the coarsest setting above the target, and take it or its finer neighbour below."""
        fine, coarse = FINEST, COARSEST  # bytes at `coarse` <= target < bytes at `fine`, once both were met
        if self._at(factor, coarse).payload_bytes >= payload_bytes:
            return self._rival(factor, coarse)
        while coarse - fine > 1:
            middle = (fine + coarse) // 2
            if self._at(factor, middle).payload_bytes <= payload_bytes:
                coarse = middle
            else:
                fine = middle
        best = min((fine, coarse), key=lambda s: _distance(self._at(factor, s).payload_bytes, payload_bytes))
        return self._rival(factor, best)

    def _rival(self, factor: int, setting: int) -> Rival:
        coded = self._at(factor, setting)
        image = coded.image
        if factor > 1:
            height, width = self._image.shape[:2]
            enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
            image = np.asarray(enlarged, dtype=np.uint8)
        return Rival(coded.payload_bytes, np.ascontiguousarray(image), setting, factor)

    def _at(self, factor: int, setting: int) -> Coded:
        if factor not in self._shrunk:
            size = (self._image.shape[1] // factor, self._image.shape[0] // factor)
            small = cv2.resize(self._image, size, interpolation=cv2.INTER_AREA)
            self._shrunk[factor] = np.asarray(small, dtype=np.uint8)
        if (factor, setting) not in self._coded:
            self._coded[factor, setting] = self._codec.code(self._shrunk[factor], setting)
        return self._coded[factor, setting]


def _distance(size: int, target: int) -> float:
    return abs(math.log(max(1, size) / max(1, target)))
