"""The refinement: luma coefficients that follow the latents in the payload (proto/BITSTREAM.md, section 5.1).

Bits above what geometry needs go here. The main view's luma is cut into blocks of 16x16, each block is transformed
(orthonormal DCT-II) and quantised coarsely, with a wide dead zone. The decoder has a good guess of every coefficient
from the side view already; what it reads says in which interval the coefficient lies, and the guess is moved into
it. That is Wyner-Ziv coding with the side information at the decoder alone (Girod et al. 2005, Proc. IEEE 93(1),
section II, reconstruction): the error of a guess can only become smaller.

    coefficients -> integers (wide dead zone) -> frequency by frequency, all blocks at once -> range coder

Tables are chosen by a context: a weighted sum of the magnitudes already known in the block and around it. The mean
of a block (DC) is predicted from the latents, in integers, since both ends have those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.entropy.coder import PROBABILITY_BITS, RangeDecoder, RangeEncoder
from common.entropy.tables import CdfTables, decode_escape, escape_bits, escape_code, int32_array
from common.errors import BundleCorrupt
from common.luma import BLOCK

UNIT = 1024
"""Steps are given in 1/1024 of the luma range."""
DEAD_ZONE = 0.75
"""Of a step: what is nearer to zero becomes zero. A level k > 0 stands for [k - 1 + 0.75, k + 0.75] steps."""
FEATURES = 5
LIMIT = 65535
"""Largest magnitude of a level."""
_DC_SHIFT = 12
_MAX_WEIGHT = 1 << 20
_MAX_DC = 1 << 30
_ARRAYS = {
    "refine_latents": 1,
    "refine_row": 1,
    "refine_step": 3,
    "refine_dc": 1,
    "refine_weight": 3,
    "refine_bias": 2,
    "refine_edges": 1,
    "refine_cdf": 2,
    "refine_skip": 1,
}
ORDER = sorted(((v, u) for v in range(BLOCK) for u in range(BLOCK)), key=lambda at: (at[0] + at[1], at[0]))
"""Frequencies (vertical, horizontal) in the order they are coded: diagonal by diagonal, from the top right down."""

Levels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Refinement:
    """What a frame's refinement says.

    Attributes:
        levels: (H/16, W/16, 16, 16) int32, the integers coded; the first of a block is relative to `mean`.
        steps: (16, 16) float32 in luma units (black 0, white 1); 0 where a frequency is not sent.
        mean: (H/16, W/16) float32, the prediction of each block's first coefficient.
    """

    levels: Levels
    steps: NDArray[np.float32]
    mean: NDArray[np.float32]

    @classmethod
    def nothing(cls, rows: int, columns: int) -> Refinement:
        """Return the refinement of a frame of so many blocks that has none: no coefficient has a bound."""
        size = (rows, columns)
        return cls(
            np.zeros((*size, BLOCK, BLOCK), np.int32),
            np.zeros((BLOCK, BLOCK), np.float32),
            np.zeros(size, np.float32),
        )

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the lowest and highest value of every coefficient, each (H/16, W/16, 16, 16) float32.

        Frequencies that are not sent have no bounds: minus and plus infinity.
        """
        k = self.levels.astype(np.float32)
        low = np.where(k > 0, k - 1 + DEAD_ZONE, np.where(k < 0, k - DEAD_ZONE, -DEAD_ZONE)) * self.steps
        high = np.where(k > 0, k + DEAD_ZONE, np.where(k < 0, k + 1 - DEAD_ZONE, DEAD_ZONE)) * self.steps
        offset = np.zeros_like(k)
        offset[:, :, 0, 0] = self.mean
        sent = self.steps > 0
        low = np.where(sent, low + offset, -np.inf).astype(np.float32)
        return low, np.where(sent, high + offset, np.inf).astype(np.float32)


class RefinementCodec:
    """Code luma coefficients with the tables of one bundle; holds no state between frames."""

    def __init__(
        self, arrays: Mapping[str, NDArray[np.generic]], channels: int, qualities: int, file: str
    ) -> None:
        """Check and take a bundle's arrays; section 5.1 of the specification names them.

        Raises:
            BundleCorrupt: an array is missing or breaks its rules.
        """
        got = {name: int32_array(arrays, name, rank, file) for name, rank in _ARRAYS.items()}
        rows = got["refine_step"].shape[0]
        shapes = {
            "refine_latents": (qualities,),
            "refine_row": (qualities,),
            "refine_step": (rows, BLOCK, BLOCK),
            "refine_dc": (9 * channels + 1,),
            "refine_weight": (rows, BLOCK * BLOCK, FEATURES),
            "refine_bias": (rows, BLOCK * BLOCK),
            "refine_edges": got["refine_edges"].shape,
            "refine_cdf": (got["refine_edges"].shape[0] + 1, got["refine_cdf"].shape[1]),
            "refine_skip": (1,),
        }
        for name, shape in shapes.items():
            if got[name].shape != shape:
                raise BundleCorrupt(file, f"{name} of shape {got[name].shape}, expected {shape}")
        self._latents, self._row = got["refine_latents"], got["refine_row"]
        self.skip = int(got["refine_skip"][0])
        steps, edges = got["refine_step"], got["refine_edges"]
        bad = {
            "refine_latents": ((self._latents < 0) | (self._latents > np.arange(qualities))).any(),
            "refine_row": ((self._row < -1) | (self._row >= rows)).any(),
            "refine_step": (steps < 0).any() or (steps[:, 0, 0] == 0).any() or (steps > 64 * UNIT).any(),
            "refine_dc": (np.abs(got["refine_dc"].astype(np.int64)) > _MAX_DC).any(),
            "refine_weight": (np.abs(got["refine_weight"].astype(np.int64)) > _MAX_WEIGHT).any(),
            "refine_edges": (np.diff(edges.astype(np.int64)) < 1).any(),
            "refine_skip": not -1 <= self.skip < len(edges),
        }
        for name, wrong in bad.items():
            if wrong:
                raise BundleCorrupt(file, f"{name} holds a value out of range")
        self._steps, self._edges = steps, edges.astype(np.int64)
        self._dc = got["refine_dc"].astype(np.int64)
        self._weights = got["refine_weight"].astype(np.int64)
        self._bias = got["refine_bias"].astype(np.int64)
        self._tables = CdfTables(got["refine_cdf"], f"{file}: refine_cdf")

    def latents(self, quality: int) -> int:
        """Return the quality whose latents a frame of `quality` carries."""
        return int(self._latents[quality])

    def has(self, quality: int) -> bool:
        """Return whether frames of this quality carry a refinement."""
        return int(self._row[quality]) >= 0

    def quantise(self, coefficients: NDArray[np.float32], quality: int, y16: NDArray[np.int64]) -> Refinement:
        """Return the refinement of coefficients.

        Args:
            coefficients: (H/16, W/16, 16, 16) float32, of luma between 0 and 1 (`common.luma`).
            quality: one that has a refinement.
            y16: (C, H/16, W/16) int64, sixteen times the decoded latents.
        """
        row = int(self._row[quality])
        steps = self._steps[row]
        mean = self._mean(row, y16)
        x = coefficients.astype(np.float64) * UNIT
        x[:, :, 0, 0] -= mean
        magnitude = np.floor(np.abs(x) / np.maximum(steps, 1) + (1 - DEAD_ZONE))
        levels = np.where(steps > 0, np.sign(x) * np.minimum(magnitude, LIMIT), 0).astype(np.int32)
        return self._refinement(row, levels, mean)

    def encode(self, encoder: RangeEncoder, levels: Levels, quality: int) -> tuple[Levels, int]:
        """Append levels (H/16, W/16, 16, 16) to a payload.

        Returns:
            The levels as the decoder will see them (skipped ones are 0), and how many were coded.
        """
        count = 0
        levels = levels.copy()
        for at, classes, coded in self._waves(levels, quality):
            levels[:, :, at[0], at[1]][~coded] = 0
            values = levels[:, :, at[0], at[1]][coded]
            starts, freqs = self._tables.slices(classes, values)
            encoder.encode_many(starts.tolist(), freqs.tolist())
            outside = values[np.abs(values) > self._tables.max_value].tolist()
            encoder.encode_bits([b for v in outside for b in escape_code(v, self._tables.max_value)])
            count += values.size
        return levels, count

    def decode(self, decoder: RangeDecoder, quality: int, y16: NDArray[np.int64]) -> Refinement:
        """Read what `encode` wrote.

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        levels = np.zeros((*y16.shape[1:], BLOCK, BLOCK), np.int32)
        for at, classes, coded in self._waves(levels, quality):
            symbols = np.array(decoder.decode_many(classes.tolist(), self._tables.rows), dtype=np.int32)
            values: NDArray[np.int32] = symbols - self._tables.max_value
            for position in np.flatnonzero(symbols == self._tables.escape).tolist():
                values[position] = decode_escape(decoder, self._tables.max_value, LIMIT)
            levels[:, :, at[0], at[1]][coded] = values
        row = int(self._row[quality])
        return self._refinement(row, levels, self._mean(row, y16))

    def bits(self, levels: Levels, quality: int) -> float:
        """Return the ideal length of `levels` in bits."""
        total = 0.0
        for at, classes, coded in self._waves(levels, quality):
            values = levels[:, :, at[0], at[1]][coded]
            _, freqs = self._tables.slices(classes, values)
            total += float((PROBABILITY_BITS - np.log2(freqs)).sum())
            total += escape_bits(values, self._tables.max_value)
        return total

    def _refinement(self, row: int, levels: Levels, mean: NDArray[np.int64]) -> Refinement:
        unit = np.float32(UNIT)
        return Refinement(levels, self._steps[row].astype(np.float32) / unit, mean.astype(np.float32) / unit)

    def _mean(self, row: int, y16: NDArray[np.int64]) -> NDArray[np.int64]:
        """Predict each block's first coefficient from the latents around it, to a whole step, in UNITs."""
        rows, columns = y16.shape[1:]
        padded = np.pad(y16, ((0, 0), (1, 1), (1, 1)), mode="edge")
        total = np.full((rows, columns), self._dc[-1] + (1 << (_DC_SHIFT - 1)), np.int64)
        weights = self._dc[:-1].reshape(3, 3, -1)
        for dy in range(3):
            for dx in range(3):
                total += np.tensordot(weights[dy, dx], padded[:, dy : dy + rows, dx : dx + columns], 1)
        step = int(self._steps[row, 0, 0])
        whole: NDArray[np.int64] = (
            np.clip((total >> _DC_SHIFT) + step // 2, -64 * UNIT, 64 * UNIT) // step * step
        )
        return whole

    def _waves(
        self, levels: Levels, quality: int
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.intp], NDArray[np.bool_]]]:
        """Yield each sent frequency with the table of every coded block, and which blocks are coded.

        Reads `levels` as it goes: a decoder fills in a frequency before it asks for the next.
        """
        row = int(self._row[quality])
        known = Known(levels.shape[0], levels.shape[1])
        for at in ORDER:
            if self._steps[row, at[0], at[1]] == 0:
                continue
            position = at[0] * BLOCK + at[1]
            score = known.features(at) @ self._weights[row, position] + self._bias[row, position]
            classes = np.searchsorted(self._edges, score, side="right")
            coded = classes > self.skip
            yield at, classes[coded], coded
            known.add(at, levels[:, :, at[0], at[1]])


class Known:
    """Magnitudes already coded, and the sums of them that choose the next tables."""

    def __init__(self, rows: int, columns: int) -> None:
        # One ring of zeros: blocks outside the picture, and frequencies below the first, say nothing.
        self._magnitudes = np.zeros((BLOCK + 2, BLOCK + 2, rows + 2, columns + 2), np.int32)
        self._total = np.zeros((rows + 2, columns + 2), np.int32)

    def add(self, at: tuple[int, int], levels: Levels) -> None:
        """Take in a frequency's levels (H/16, W/16). A block's mean says nothing about its texture: left out."""
        if at == (0, 0):
            return
        magnitude = np.minimum(np.abs(levels), 255)
        self._magnitudes[at[0] + 2, at[1] + 2, 1:-1, 1:-1] = magnitude
        self._total[1:-1, 1:-1] += magnitude

    def features(self, at: tuple[int, int]) -> NDArray[np.int64]:
        """Return (H/16, W/16, 5) int64 for frequency `at` = (v, u).

        In order, m being a magnitude in the block: m(v-1, u) + m(v, u-1); m(v-1, u-1) + m(v-2, u) + m(v, u-2); the
        first sum plus m(v-1, u-1) in the four blocks beside; all magnitudes so far in the block; the same in the
        four beside.
        """
        v, u = at[0] + 2, at[1] + 2
        m = self._magnitudes
        near = m[v - 1, u] + m[v, u - 1]
        beside = near + m[v - 1, u - 1]
        middle = np.s_[1:-1, 1:-1]
        return np.stack(
            [
                near[middle],
                (m[v - 1, u - 1] + m[v - 2, u] + m[v, u - 2])[middle],
                _beside(beside),
                self._total[middle],
                _beside(self._total),
            ],
            -1,
            dtype=np.int64,
        )


def _beside(ringed: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the sum over the four blocks beside each, of (H/16 + 2, W/16 + 2)."""
    return np.asarray(ringed[:-2, 1:-1] + ringed[2:, 1:-1] + ringed[1:-1, :-2] + ringed[1:-1, 2:])
