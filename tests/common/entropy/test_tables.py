"""Integer tables: valid for any probabilities, close to them; escape codes round trip and are bounded."""

from __future__ import annotations

import numpy as np
import pytest

from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.tables import (
    CdfTables,
    check_cdf,
    decode_escape,
    escape_bits,
    escape_code,
    laplace_tables,
    quantise_pmf,
)
from common.errors import BundleCorrupt, CorruptPayload


@pytest.mark.parametrize("max_value", [0, 1, 31, 255])
def test_laplace_tables_are_valid_from_certain_to_flat(max_value: int):
    cdf = laplace_tables(np.geomspace(1e-3, 1e4, 64), max_value)
    assert cdf.shape == (64, 2 * max_value + 3)
    assert cdf.dtype == np.int32
    check_cdf(cdf, "tables")


def test_laplace_tables_follow_the_distribution():
    scale, max_value = 2.0, 20
    probability = np.diff(laplace_tables(np.array([scale]), max_value)[0]) / 65536
    samples = np.rint(np.random.default_rng(1).laplace(0, scale, 400_000)).astype(int)
    counted = (
        np.bincount(samples[np.abs(samples) <= max_value] + max_value, minlength=2 * max_value + 1)
        / samples.size
    )
    assert np.abs(probability[:-1] - counted).max() < 0.003
    mirrored = probability[max_value + 1 : -1][::-1]
    assert np.abs(probability[:max_value] - mirrored).max() <= 1 / 65536  # rounding leaves a unit to one side


def test_laplace_tables_need_positive_scales():
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive"):
            laplace_tables(np.array([1.0, wrong]), 4)


def test_quantised_probabilities_sum_up_and_stay_close():
    pmf = np.random.default_rng(2).gamma(0.1, size=(50, 300))
    freqs = np.diff(quantise_pmf(pmf), axis=1)
    assert (freqs >= 1).all()
    assert (freqs.sum(axis=1) == 65536).all()
    share = pmf / pmf.sum(axis=1, keepdims=True)
    assert np.abs(freqs / 65536 - share).max() < 301 / 65536


def test_impossible_symbols_keep_one_unit():
    assert np.diff(quantise_pmf(np.array([[0.0, 1.0, 0.0]]))).tolist() == [[1, 65534, 1]]


@pytest.mark.parametrize("pmf", [[[0.0, 0.0]], [[1.0, -1.0]], [[np.nan, 1.0]], [[1.0]], [1.0, 2.0]])
def test_what_is_no_probability_is_refused(pmf: list):
    with pytest.raises(ValueError, match="probabilities"):
        quantise_pmf(np.array(pmf))


@pytest.mark.parametrize(
    ("cdf", "why"),
    [
        (np.zeros((2, 5)), "integers"),
        (np.array([0, 1, 65536]), "integers"),
        (np.array([[0, 65536]]), "2 . max"),
        (np.array([[0, 1, 2, 65536]]), "2 . max"),
        (np.zeros((0, 5), int), "2 . max"),
        (np.array([[1, 2, 65536]]), "from 0 to 65536"),
        (np.array([[0, 2, 65535]]), "from 0 to 65536"),
        (np.array([[0, 5, 65536], [0, 0, 65536]]), "rise strictly"),
        (np.array([[0, 70000, 65536]]), "rise strictly"),
    ],
)
def test_what_is_no_table_is_refused(cdf: np.ndarray, why: str):
    with pytest.raises(BundleCorrupt, match=f"y_cdf.*{why}"):
        check_cdf(cdf, "y_cdf")


def test_slices_are_the_table_or_the_escape():
    tables = CdfTables(np.array([[0, 10, 30, 60, 65536], [0, 1, 2, 3, 65536]], np.int32), "t")
    starts, freqs = tables.slices(np.array([0, 0, 0, 0, 0, 1]), np.array([-1, 0, 1, 2, -9, 1]))
    assert starts.tolist() == [0, 10, 30, 60, 60, 2]
    assert freqs.tolist() == [10, 20, 30, 65476, 65476, 1]
    assert (tables.max_value, tables.escape) == (1, 3)


@pytest.mark.parametrize("max_value", [0, 7])
def test_escapes_round_trip_at_their_stated_price(max_value: int):
    values = [s * (max_value + e) for e in (1, 2, 3, 4, 100, 65535, 131071) for s in (1, -1)]
    encoder = RangeEncoder()
    for value in values:
        encoder.encode_bits(escape_code(value, max_value))
    payload = encoder.finish()
    assert abs(8 * len(payload) - escape_bits(np.array([0, max_value, *values]), max_value)) <= 8
    decoder = RangeDecoder(payload)
    assert [decode_escape(decoder, max_value, 200_000) for _ in values] == values


@pytest.mark.parametrize("value", [0, 7, -7, 7 + 131072])
def test_values_without_an_escape_are_refused(value: int):
    with pytest.raises(ValueError, match=str(value)):
        escape_code(value, 7)


def test_a_value_above_the_limit_is_refused():
    encoder = RangeEncoder()
    encoder.encode_bits(escape_code(128, 7))
    with pytest.raises(CorruptPayload, match="128 is above the limit of 127"):
        decode_escape(RangeDecoder(encoder.finish()), 7, 127)


def test_an_endless_prefix_is_refused():
    with pytest.raises(CorruptPayload, match="more than 16 leading zeros"):
        decode_escape(RangeDecoder(bytes(20)), 7, 65535)


def test_escape_codes_worked_out_by_hand():
    assert escape_code(8, 7) == [1, 0]  # the first value outside: no leading zero, the digit 1, plus
    assert escape_code(-8, 7) == [1, 1]
    assert escape_code(12, 7) == [0, 0, 1, 0, 1, 0]  # 5 outside: two zeros, 101, plus
