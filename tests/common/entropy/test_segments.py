"""common.entropy.segments: symbols and their escapes come back, from tables that may depend on what came before."""

from __future__ import annotations

import numpy as np
import pytest

from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.segments import decode_segment, encode_segment, segment_bits
from common.entropy.tables import CdfTables, laplace_tables
from common.errors import CorruptPayload

TABLES = CdfTables(laplace_tables(np.array([0.3, 1.0, 4.0]), 5), "test")


def _drawn(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 3, count), np.rint(rng.laplace(0, 2.5, count)).astype(np.int32)


def test_values_come_back_in_about_their_ideal_length():
    ids, values = _drawn()
    assert (np.abs(values) > 5).sum() > 20, "some are escaped"
    encoder = RangeEncoder()
    encode_segment(encoder, TABLES, ids, values)
    payload = encoder.finish()
    decoder = RangeDecoder(payload)
    np.testing.assert_array_equal(decode_segment(decoder, TABLES, ids.tolist(), 100), values)
    decoder.finish()
    assert abs(len(payload) - segment_bits(TABLES, ids, values) / 8) < 2


def test_a_table_may_follow_from_the_symbols_before():
    _, values = _drawn()
    ids = np.concatenate([[0], np.clip(np.abs(values[:-1]), 0, 2)])
    encoder = RangeEncoder()
    encode_segment(encoder, TABLES, ids, values)
    symbols: list[int] = []

    def following():
        yield 0
        for _ in values[1:]:
            # An escape's value is not known yet; its symbol is, and that is far from zero.
            yield min(2, abs(symbols[-1] - TABLES.max_value))

    got = decode_segment(RangeDecoder(encoder.finish()), TABLES, following(), 100, symbols)
    np.testing.assert_array_equal(got, values)
    assert len(symbols) == values.size


def test_a_value_above_the_limit_is_refused():
    encoder = RangeEncoder()
    encode_segment(encoder, TABLES, np.array([1]), np.array([90], np.int32))
    payload = encoder.finish()
    assert decode_segment(RangeDecoder(payload), TABLES, [1], 90).tolist() == [90]
    with pytest.raises(CorruptPayload, match="90 is above the limit of 89"):
        decode_segment(RangeDecoder(payload), TABLES, [1], 89)


def test_nothing_is_nothing():
    encoder = RangeEncoder()
    encode_segment(encoder, TABLES, np.zeros(0, int), np.zeros(0, np.int32))
    assert segment_bits(TABLES, np.zeros(0, int), np.zeros(0, np.int32)) == 0
    assert decode_segment(RangeDecoder(encoder.finish()), TABLES, [], 9).shape == (0,)
