"""A segment of a payload: symbols, each with a table, then the escape codes (proto/BITSTREAM.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from common.entropy.coder import PROBABILITY_BITS, RangeDecoder, RangeEncoder
from common.entropy.tables import CdfTables, decode_escape, escape_bits, escape_code


def encode_segment(
    encoder: RangeEncoder, tables: CdfTables, table_ids: NDArray[np.integer], values: NDArray[np.int32]
) -> None:
    """Encode `values` (N,), then the escape codes of those outside their table, in the same order."""
    starts, freqs = tables.slices(table_ids, values)
    encoder.encode_many(starts.tolist(), freqs.tolist())
    outside = values[np.abs(values) > tables.max_value].tolist()
    encoder.encode_bits([bit for value in outside for bit in escape_code(value, tables.max_value)])


def decode_segment(
    decoder: RangeDecoder,
    tables: CdfTables,
    table_ids: Iterable[int],
    limit: int,
    into: list[int] | None = None,
) -> NDArray[np.int32]:
    """Decode what `encode_segment` wrote: (N,) int32.

    Args:
        decoder: where the segment begins.
        tables: those it was written with.
        table_ids: one for each value; may be told as the symbols come (`RangeDecoder.decode_many`).
        limit: the largest magnitude allowed.
        into: the list that symbols are appended to; empty.

    Raises:
        CorruptPayload: the bytes cannot have come from the encoder.
    """
    symbols = np.array(decoder.decode_many(table_ids, tables.rows, into), dtype=np.int32)
    values: NDArray[np.int32] = symbols - tables.max_value
    for position in np.flatnonzero(symbols == tables.escape).tolist():
        values[position] = decode_escape(decoder, tables.max_value, limit)
    return values


def segment_bits(tables: CdfTables, table_ids: NDArray[np.integer], values: NDArray[np.int32]) -> float:
    """Return the ideal length in bits of one segment."""
    _, freqs = tables.slices(table_ids, values)
    return float((PROBABILITY_BITS - np.log2(freqs)).sum()) + escape_bits(values, tables.max_value)
