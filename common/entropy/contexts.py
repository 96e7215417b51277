"""Context tables: a latent's table by the signs of its neighbours (proto/BITSTREAM.md, section 5.3).

What the hyper decoder says of a latent holds for frames of every size. A small frame coded at double size has smoother
latents than a large one, and in both a latent's neighbours tell of it. Here each channel has a table of its own for
each of the 27 combinations of signs to the left, above and above to the right, counted on real frames: one set of
tables for each way of coding that the manifest's resampling tables name. The integers coded stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from common.entropy.coder import PROBABILITY_TOTAL, RangeDecoder, RangeEncoder
from common.entropy.segments import decode_segment, encode_segment, segment_bits
from common.entropy.tables import CdfTables
from common.errors import BundleCorrupt
from common.resampling import MOST_SETS

Z_FREQ, Y_FREQ = "context_z", "context_y"
"""A bundle's arrays; the second one's presence says that it has context tables."""
COMBINATIONS = 27
LIMIT = 65535
"""Largest magnitude of a coded latent residual."""


class ContextCodec:
    """Code latents with the context tables of one bundle; holds no state between frames."""

    def __init__(
        self, arrays: Mapping[str, NDArray[np.generic]], hyper_channels: int, channels: int, file: str
    ) -> None:
        """Check and take a bundle's arrays.

        Args:
            arrays: `context_z` (S, Z, 2 zmax + 2) and `context_y` (S, C, 27, 2 ymax + 2) uint16, the frequencies of
                the values and of the escape, out of 65536. Other keys are ignored.
            hyper_channels: Z.
            channels: C.
            file: name for the error.

        Raises:
            BundleCorrupt: an array is missing or breaks its rules.
        """
        z, y = _frequencies(arrays, Z_FREQ, 3, file), _frequencies(arrays, Y_FREQ, 4, file)
        if z.shape[1] != hyper_channels or y.shape[1:3] != (channels, COMBINATIONS):
            raise BundleCorrupt(
                file, f"context tables of shapes {z.shape} and {y.shape} do not fit the codec"
            )
        if len(z) != len(y) or len(y) > MOST_SETS:
            raise BundleCorrupt(file, f"{len(z)} and {len(y)} sets of context tables, at most {MOST_SETS}")
        self.sets = len(y)
        self.z_tables = [CdfTables(_cdf(rows), f"{file}: {Z_FREQ}") for rows in z]
        self._tables = [CdfTables(_cdf(rows.reshape(-1, rows.shape[-1])), f"{file}: {Y_FREQ}") for rows in y]

    def encode(
        self, encoder: RangeEncoder, which: int, values: NDArray[np.int32], coded: NDArray[np.bool_]
    ) -> None:
        """Append the values (C, h, w) that are `coded` to a payload, with set `which`; the others are 0."""
        encode_segment(encoder, self._tables[which], self._table_ids(which, values)[coded], values[coded])

    def decode(self, decoder: RangeDecoder, which: int, coded: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Read what `encode` wrote: (C, h, w) int32.

        Raises:
            CorruptPayload: the bytes cannot have come from the encoder.
        """
        tables = self._tables[which]
        symbols: list[int] = []
        ids = _following(coded, tables.max_value, symbols)
        values = np.zeros(coded.shape, np.int32)
        values[coded] = decode_segment(decoder, tables, ids, LIMIT, symbols)
        return values

    def bits(self, which: int, values: NDArray[np.int32], coded: NDArray[np.bool_]) -> float:
        """Return the ideal length of `values` in bits; arguments as for `encode`."""
        return segment_bits(self._tables[which], self._table_ids(which, values)[coded], values[coded])

    def _table_ids(self, which: int, values: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return the table (C, h, w) of each value within a set."""
        channel = COMBINATIONS * np.arange(len(values))[:, None, None]
        return channel + combinations(values, self._tables[which].max_value)


def combinations(values: NDArray[np.int32], max_value: int) -> NDArray[np.intp]:
    """Return which of the 27 combinations stands around each of values (C, h, w).

    Nine times the digit of the neighbour to the left, three times that above, and that above to the right: 0 where it
    is negative, 1 where it is zero or outside, 2 where it is positive or was escaped, of whatever sign.
    """
    digits = np.where(np.abs(values) > max_value, 2, np.sign(values) + 1)
    around = np.pad(digits, ((0, 0), (1, 0), (1, 1)), constant_values=1)
    left, above, right = around[:, 1:, :-2], around[:, :-1, 1:-1], around[:, :-1, 2:]
    return np.asarray(9 * left + 3 * above + right, np.intp)


def _following(coded: NDArray[np.bool_], max_value: int, symbols: list[int]) -> Iterator[int]:
    """Yield the table of each coded position in raster order; `symbols` grows by one after each."""
    channels, height, width = coded.shape
    stride = width + 2
    digit_of = [0] * max_value + [1] + [2] * (max_value + 1)
    padded = np.zeros((height + 1, stride), np.bool_)
    for channel in range(channels):
        padded[1:, 1:-1] = coded[channel]
        digits = bytearray(b"\1") * padded.size
        table = COMBINATIONS * channel
        for at in np.flatnonzero(padded).tolist():
            above = at - stride
            yield table + 9 * digits[at - 1] + 3 * digits[above] + digits[above + 1]
            digits[at] = digit_of[symbols[-1]]


def _frequencies(
    arrays: Mapping[str, NDArray[np.generic]], key: str, rank: int, file: str
) -> NDArray[np.int64]:
    """Return the frequencies `key` of a bundle's arrays.

    Raises:
        BundleCorrupt: they are missing, of another kind, or a table's do not sum to 65536.
    """
    array = arrays.get(key)
    if array is None or array.dtype != np.uint16 or array.ndim != rank or 0 in array.shape:
        shown = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise BundleCorrupt(file, f"array {key!r} is {shown}")
    freqs = array.astype(np.int64)
    if freqs.shape[-1] % 2 or freqs.min() < 1 or (freqs.sum(-1) != PROBABILITY_TOTAL).any():
        raise BundleCorrupt(
            file, f"{key}: a table is not an even number of frequencies, at least 1 each, of 65536 together"
        )
    return freqs


def _cdf(freqs: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return cumulative tables (N, S + 1) of frequencies (N, S)."""
    cdf = np.zeros((len(freqs), freqs.shape[1] + 1), np.int32)
    cdf[:, 1:] = freqs.cumsum(1)
    return cdf
