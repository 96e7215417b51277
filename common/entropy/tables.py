"""Integer probability tables and the code for values outside them (proto/BITSTREAM.md, section 6).

A table is one row of cumulative frequencies for the values -max .. +max followed by one escape symbol:
`2 * max + 3` integers, the first 0, the last 65536, strictly rising (so every frequency is at least 1).
Tables are made here, in float64, when a bundle is exported; they travel as integers in the bundle and neither
end computes them again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.entropy.coder import PROBABILITY_TOTAL, RangeDecoder
from common.errors import BundleCorrupt, CorruptPayload

MAX_ESCAPE_PREFIX = 16
"""An escaped value has at most this many leading zero bits in its Exp-Golomb code."""

_MAX_SYMBOLS = 4096


class CdfTables:
    """Hold a set of tables of equal width, as an array for the encoder and as lists for the decoder."""

    def __init__(self, cdf: NDArray[np.int32], name: str) -> None:
        """Check and take `cdf`, (N, 2 * max + 3) integers; `name` is for the error.

        Raises:
            BundleCorrupt: a row is not a cumulative table.
        """
        check_cdf(cdf, name)
        self.cdf = np.ascontiguousarray(cdf, dtype=np.int32)
        self.max_value = (cdf.shape[1] - 3) // 2
        self.escape = 2 * self.max_value + 1
        self.rows: list[list[int]] = self.cdf.tolist()

    def slices(
        self, table_ids: NDArray[np.integer], values: NDArray[np.integer]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the (N,) starts and frequencies that code `values` with their tables, escapes included."""
        symbols = self.symbols(values)
        starts: NDArray[np.int32] = self.cdf[table_ids, symbols]
        ends: NDArray[np.int32] = self.cdf[table_ids, symbols + 1]
        return starts, np.subtract(ends, starts)

    def symbols(self, values: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the symbol of each value: its place in the table, or the escape."""
        inside = np.abs(values) <= self.max_value
        symbols: NDArray[np.intp] = np.where(inside, values + self.max_value, self.escape).astype(np.intp)
        return symbols


def check_cdf(cdf: NDArray[np.integer], name: str) -> None:
    """Check that `cdf`, (N, 2 * max + 3), holds cumulative tables.

    Raises:
        BundleCorrupt: it does not; the message names `name`.
    """
    if cdf.ndim != 2 or not np.issubdtype(cdf.dtype, np.integer):
        raise BundleCorrupt(name, f"tables must be rows of integers, not {cdf.dtype} of shape {cdf.shape}")
    rows, width = cdf.shape
    if rows < 1 or width < 3 or width % 2 == 0 or width > _MAX_SYMBOLS:
        raise BundleCorrupt(name, f"tables of shape {cdf.shape}: a row must have 2 * max + 3 entries")
    if (cdf[:, 0] != 0).any() or (cdf[:, -1] != PROBABILITY_TOTAL).any():
        raise BundleCorrupt(name, f"every table must run from 0 to {PROBABILITY_TOTAL}")
    if (np.diff(cdf.astype(np.int64), axis=1) < 1).any():
        raise BundleCorrupt(name, "a symbol has no probability: tables must rise strictly")


def quantise_pmf(pmf: NDArray[np.float64]) -> NDArray[np.int32]:
    """Turn probabilities (N, S) into cumulative integer tables (N, S + 1), every frequency at least 1.

    Rows need not sum to one. The last of the S symbols is the escape.

    Raises:
        ValueError: a row is empty, negative, not finite, or has too many symbols.
    """
    weights = np.asarray(pmf, dtype=np.float64)
    if weights.ndim != 2 or not 2 <= weights.shape[1] < _MAX_SYMBOLS:
        raise ValueError(f"probabilities must be (N, S) with 2 <= S < {_MAX_SYMBOLS}, not {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights.sum(axis=1) <= 0).any():
        raise ValueError("probabilities must be finite, not negative, and not all zero")
    symbols = weights.shape[1]
    # One unit for everyone, the rest by share, and what rounding down leaves to the largest remainders.
    shares = weights / weights.sum(axis=1, keepdims=True) * (PROBABILITY_TOTAL - symbols)
    freqs = np.floor(shares).astype(np.int64) + 1
    missing = PROBABILITY_TOTAL - freqs.sum(axis=1)
    by_remainder = np.argsort(np.floor(shares) - shares, axis=1, kind="stable")
    rank = np.argsort(by_remainder, axis=1, kind="stable")
    freqs += rank < missing[:, None]
    cdf = np.zeros((weights.shape[0], symbols + 1), dtype=np.int32)
    cdf[:, 1:] = np.cumsum(freqs, axis=1)
    return cdf


def laplace_tables(scales: NDArray[np.float64], max_value: int) -> NDArray[np.int32]:
    """Make one table for each Laplace scale, for values -max_value .. max_value and the escape.

    Args:
        scales: (N,) the Laplace distribution's b (its mean absolute deviation), in quantisation steps.
        max_value: the largest value with a symbol of its own.

    Returns:
        (N, 2 * max_value + 3) int32 cumulative tables.

    Raises:
        ValueError: a scale is not a positive number.
    """
    scale = np.asarray(scales, dtype=np.float64)[:, None]
    if not np.isfinite(scale).all() or (scale <= 0).any():
        raise ValueError("Laplace scales must be positive")
    distance = np.abs(np.arange(-max_value, max_value + 1, dtype=np.float64))[None, :]
    near = np.exp(-np.maximum(distance - 0.5, 0.0) / scale)
    inside = 0.5 * (near - np.exp(-(distance + 0.5) / scale))
    inside[:, max_value] = 1.0 - np.exp(-0.5 / scale[:, 0])
    outside = np.exp(-(max_value + 0.5) / scale)
    return quantise_pmf(np.concatenate([inside, outside], axis=1))


def escape_code(value: int, max_value: int) -> list[int]:
    """Return the plain bits of a value outside the table: Exp-Golomb (order 0) of its excess, then its sign.

    Raises:
        ValueError: the value is inside the table, or beyond what the code can say.
    """
    excess = abs(value) - max_value  # Exp-Golomb codes excess - 1 as the binary digits of excess
    digits = excess.bit_length()
    if excess < 1 or digits > MAX_ESCAPE_PREFIX + 1:
        raise ValueError(f"value {value} cannot be escaped from a table of -{max_value}..{max_value}")
    return [0] * (digits - 1) + [excess >> place & 1 for place in reversed(range(digits))] + [int(value < 0)]


def decode_escape(decoder: RangeDecoder, max_value: int, limit: int) -> int:
    """Decode a value that was written as its `escape_code`.

    Raises:
        CorruptPayload: the code is too long, or the value's magnitude is above `limit`.
    """
    prefix = 0
    while decoder.decode_bits(1)[0] == 0:
        prefix += 1
        if prefix > MAX_ESCAPE_PREFIX:
            raise CorruptPayload(f"escape code with more than {MAX_ESCAPE_PREFIX} leading zeros")
    *digits, negative = decoder.decode_bits(prefix + 1)
    excess = 1
    for digit in digits:
        excess = excess << 1 | digit
    magnitude = max_value + excess
    if magnitude > limit:
        raise CorruptPayload(f"escaped value of magnitude {magnitude} is above the limit of {limit}")
    return -magnitude if negative else magnitude


def escape_bits(values: NDArray[np.integer], max_value: int) -> int:
    """Return how many plain bits `escape_code` gives for those of `values` that are outside the table."""
    excess = np.abs(values[np.abs(values) > max_value]).astype(np.int64) - max_value
    return int((2 * np.floor(np.log2(excess)) + 2).sum()) if excess.size else 0


def int32_array(
    arrays: Mapping[str, NDArray[np.generic]], key: str, rank: int, file: str
) -> NDArray[np.int32]:
    """Return the int32 array `key` of `rank` dimensions out of a bundle's.

    Raises:
        BundleCorrupt: it is missing, empty or of another kind.
    """
    array = arrays.get(key)
    if array is None:
        raise BundleCorrupt(file, f"array {key!r} is missing")
    if array.dtype != np.int32 or array.ndim != rank or 0 in array.shape:
        raise BundleCorrupt(file, f"array {key!r} is {array.dtype} of shape {array.shape}")
    return array.astype(np.int32)
