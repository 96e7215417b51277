"""At which size a frame is coded, and at which of the codec's qualities (proto/BITSTREAM.md, section 3.1).

Latents stand 16 pixels apart. Coding the frame at half its size makes that 32, so that a large frame's geometry costs
less than a frame of that size can cost otherwise; at double size it is 8, so that a small frame's geometry can be told
finer than otherwise at any rate (docs/decisions/0023). Which it is follows from the frame's size, its quality and the
bundle alone: no packet says it. So does how much of the frame's illumination it carries, which a large frame can
afford and a small one at few bytes cannot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from common.bitstream.limits import MAX_SIDE, MIN_SIDE
from common.illumination import MOST_WAVES

RESAMPLING, WAVES, CONTEXTS = "resampling", "waves", "contexts"
"""The manifest's list of tables, and what a table may have beside sizes if the bundle has what they tell of."""
HALF, SAME, DOUBLE = 1, 2, 4
"""Scales in the manifest, in halves of the frame's size."""
MOST_SETS = 64
_MAX_TABLES = 8
_PAD_MULTIPLE, _LATENT_STRIDE = 64, 16
_MOST_DOUBLED = MAX_SIDE // 2 * MIN_SIDE
"""Pixels of a frame that may be coded at double size: none that has so many has a side too long for it."""


@dataclass(frozen=True)
class CodedView:
    """What is coded of a frame: a picture of `height` x `width` pixels, at one of the codec's qualities.

    waves: how many waves of the frame's illumination go with it; None leaves that to the codec's quality.
    contexts: the set of context tables that it is coded with (common.entropy.contexts), if any.
    """

    height: int
    width: int
    quality: int
    waves: int | None = None
    contexts: int | None = None

    @property
    def latent_height(self) -> int:
        """Rows of latents, the height padded to a multiple of 64."""
        return _latent_side(self.height)

    @property
    def latent_width(self) -> int:
        """Columns of latents, the width padded to a multiple of 64."""
        return _latent_side(self.width)


def _latent_side(pixels: int) -> int:
    """Return how many latents (stride 16) stand along a side of so many pixels, padded to a multiple of 64."""
    return -(-pixels // _PAD_MULTIPLE) * (_PAD_MULTIPLE // _LATENT_STRIDE)


@dataclass(frozen=True)
class _Table:
    """The scales and qualities for frames of at most so many pixels, by the packet's quality."""

    pixels: int
    scales: tuple[int, ...]
    qualities: tuple[int, ...]
    waves: tuple[int | None, ...]
    contexts: tuple[int | None, ...]


class Resampling:
    """A bundle's tables: for frames of at most so many pixels, a scale and a quality for each quality index."""

    def __init__(self, tables: Sequence[Any] = (), qualities: int = 8) -> None:
        """Check and take the manifest's `[[resampling]]` tables; none: frames are coded as they are.

        Args:
            tables: each with `pixels`, rising from one to the next, and for each quality index a `scale` (1, 2 or 4
                halves), a `quality` and, if it has those lists, a number of `waves` and a set of `contexts`.
            qualities: how many there are.

        Raises:
            ValueError: they break these rules; the text says how.
        """
        if not isinstance(tables, Sequence) or isinstance(tables, str) or len(tables) > _MAX_TABLES:
            raise ValueError(f"resampling is not a list of at most {_MAX_TABLES} tables")
        self._tables = [_table(table, qualities) for table in tables]
        pixels = [table.pixels for table in self._tables]
        if any(a >= b for a, b in itertools.pairwise(pixels)):
            raise ValueError("resampling: pixels must rise from table to table")

    @property
    def most_waves(self) -> int:
        """The largest number of waves that a table asks for, 0 if none does."""
        return max((n or 0 for table in self._tables for n in table.waves), default=0)

    @property
    def most_sets(self) -> int:
        """How many sets of context tables there must be for the highest that a table names, 0 if none does."""
        return max((n + 1 for table in self._tables for n in table.contexts if n is not None), default=0)

    def coded_view(self, quality: int, height: int, width: int) -> CodedView:
        """Return what is coded of a frame of `height` x `width` pixels at quality index `quality`."""
        for table in self._tables:
            if height * width <= table.pixels and quality < len(table.scales):
                scale = table.scales[quality]
                rows, columns = (-(-side * scale // SAME) for side in (height, width))
                return CodedView(
                    rows, columns, table.qualities[quality], table.waves[quality], table.contexts[quality]
                )
        return CodedView(height, width, quality)


def _table(table: Any, qualities: int) -> _Table:
    """Read one table.

    Raises:
        ValueError: it breaks the rules.
    """
    if not isinstance(table, dict) or set(table) - {WAVES, CONTEXTS} != {"pixels", "scale", "quality"}:
        raise ValueError(
            "resampling: each table has pixels, scale and quality, and may have waves and contexts"
        )
    pixels, scales, coded = table["pixels"], table["scale"], table["quality"]
    if type(pixels) is not int or not 1 <= pixels <= MAX_SIDE * MAX_SIDE:
        raise ValueError(f"resampling: pixels is not a whole number from 1 to {MAX_SIDE * MAX_SIDE}")
    waves, contexts = (table.get(key, [0] * qualities) for key in (WAVES, CONTEXTS))
    for name, values, allowed, shown in (
        ("scale", scales, (HALF, SAME, DOUBLE), "out of 1, 2 and 4"),
        ("quality", coded, range(qualities), f"from 0 to {qualities - 1}"),
        (WAVES, waves, range(MOST_WAVES + 1), f"from 0 to {MOST_WAVES}"),
        (CONTEXTS, contexts, range(MOST_SETS), f"from 0 to {MOST_SETS - 1}"),
    ):
        listed = isinstance(values, list) and len(values) == qualities
        if not listed or any(type(value) is not int or value not in allowed for value in values):
            raise ValueError(f"resampling: {name} is not {qualities} numbers {shown}")
    if DOUBLE in scales and pixels > _MOST_DOUBLED:
        raise ValueError(f"resampling: scale {DOUBLE} is for at most {_MOST_DOUBLED} pixels")
    unsaid = (None,) * qualities
    return _Table(
        pixels,
        tuple(scales),
        tuple(coded),
        tuple(waves) if WAVES in table else unsaid,
        tuple(contexts) if CONTEXTS in table else unsaid,
    )


def resample(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) uint8 at another size: by area where it shrinks, else bicubic."""
    if image.shape[:2] == (height, width):
        return image
    how = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
