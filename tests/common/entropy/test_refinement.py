"""Refinement: both ends agree, the truth is in the intervals, the length is the entropy, bad bytes are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.entropy import LatentCodec
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.refinement import ORDER, Known, Refinement, RefinementCodec
from common.errors import BitstreamError, BundleCorrupt, CorruptPayload

TABLES = Path(__file__).parents[2] / "vectors" / "v1" / "tables-refined.json"
SHAPE = (8, 12)
QUALITIES = (6, 7)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    stored = json.loads(TABLES.read_text())
    return {n: np.array(v["data"], dtype=v["dtype"]).reshape(v["shape"]) for n, v in stored.items()}


@pytest.fixture
def codec(arrays) -> RefinementCodec:
    return RefinementCodec(arrays, 4, 8, "test")


def drawn(spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw coefficients, weaker at higher frequencies, and latents."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:16, :16]
    coefficients = rng.laplace(0, spread / (1 + v + u), (*SHAPE, 16, 16)).astype(np.float32)
    coefficients[:, :, 0, 0] += 8
    return coefficients, rng.integers(-100, 100, (4, *SHAPE))


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("spread", [0.3, 3.0, 3000.0])
def test_both_ends_agree(codec, quality, spread):
    coefficients, y16 = drawn(spread)
    refinement = codec.quantise(coefficients, quality, y16)
    encoder = RangeEncoder()
    levels, count = codec.encode(encoder, refinement.levels, quality)
    payload = encoder.finish()
    decoder = RangeDecoder(payload)
    got = codec.decode(decoder, quality, y16)
    decoder.finish()
    np.testing.assert_array_equal(got.levels, levels)
    np.testing.assert_array_equal(got.mean, refinement.mean)
    np.testing.assert_array_equal(got.steps, refinement.steps)
    assert 0 < count <= levels[:, :, got.steps > 0].size
    ideal = codec.bits(levels, quality) / 8
    assert abs(len(payload) - ideal) <= 0.005 * ideal + 2


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_truth_is_in_the_interval_unless_its_level_was_skipped(codec, quality):
    coefficients, y16 = drawn(2.0)
    refinement = codec.quantise(coefficients, quality, y16)
    low, high = refinement.bounds()
    assert ((low <= coefficients + 1e-4) & (coefficients <= high + 1e-4)).all()
    sent = refinement.steps > 0
    assert np.isinf(low[:, :, ~sent]).all() and np.isfinite(low[:, :, sent]).all()
    width = (high - low)[:, :, sent]
    zero = refinement.levels[:, :, sent] == 0
    np.testing.assert_allclose(width, np.where(zero, 1.5, 1.0) * refinement.steps[sent], rtol=1e-3)
    levels, _ = codec.encode(RangeEncoder(), refinement.levels, quality)
    changed = levels != refinement.levels
    assert (levels[changed] == 0).all() and changed.mean() < 0.02


def test_the_context_sees_what_is_known_and_nothing_else():
    known = Known(2, 2)
    assert not known.features((0, 1)).any()
    known.add((0, 0), np.full((2, 2), 9, np.int32))  # a mean is no texture
    assert not known.features((0, 1)).any()
    known.add((0, 1), np.array([[-3, 0], [1, 0]], np.int32))
    known.add((1, 0), np.array([[1, 0], [0, 500]], np.int32))
    np.testing.assert_array_equal(known.features((1, 1))[0, 0], [4, 0, 1, 4, 1])
    np.testing.assert_array_equal(known.features((1, 1))[0, 1], [0, 0, 4 + 255, 0, 4 + 255])
    np.testing.assert_array_equal(known.features((0, 2))[0, 0], [3, 0, 1, 4, 1])
    np.testing.assert_array_equal(known.features((0, 3))[0, 0], [0, 3, 0, 4, 1])


def test_frequencies_are_coded_diagonal_by_diagonal():
    assert ORDER[:6] == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)] and len(set(ORDER)) == 256


def test_any_bytes_give_levels_or_an_error(codec):
    _, y16 = drawn()
    rng = np.random.default_rng(1)
    refused = 0
    for size in (0, 1, 7, 40, 300, 3000):
        decoder = RangeDecoder(rng.bytes(size))
        try:
            levels = codec.decode(decoder, 7, y16).levels
            decoder.finish()
            assert np.abs(levels).max() <= 65535
        except BitstreamError as why:
            assert isinstance(why, CorruptPayload)
            refused += 1
    assert refused >= 4


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("refine_latents", lambda a: a + 1),
        ("refine_row", lambda a: a + 2),
        ("refine_step", lambda a: -a),
        ("refine_step", lambda a: a[:, :8]),
        ("refine_dc", lambda a: a[:-1]),
        ("refine_weight", lambda a: a + (1 << 21)),
        ("refine_bias", lambda a: a.astype(np.int64)),
        ("refine_edges", lambda a: a[::-1]),
        ("refine_cdf", lambda a: a[:-1]),
        ("refine_cdf", lambda a: a * 0),
        ("refine_skip", lambda a: a + 100),
    ],
)
def test_arrays_that_break_the_rules_are_refused(arrays, name, change):
    with pytest.raises(BundleCorrupt, match=name):
        RefinementCodec({**arrays, name: change(arrays[name])}, 4, 8, "file")


def test_every_array_is_needed(arrays):
    for name in [n for n in arrays if n.startswith("refine_")]:
        with pytest.raises(BundleCorrupt, match=name):
            RefinementCodec({n: v for n, v in arrays.items() if n != name}, 4, 8, "file")


def test_a_refined_frame_needs_its_coefficients(arrays):
    codec = LatentCodec(arrays)
    y, z = np.zeros((4, 8, 12), np.float32), np.zeros((2, 2, 3), np.float32)
    assert [codec.latent_quality(q) for q in range(8)] == [0, 1, 2, 3, 4, 5, 5, 6]
    assert [codec.is_refined(q) for q in range(8)] == [False] * 6 + [True] * 2
    for wrong in (None, np.zeros((8, 11, 16, 16), np.float32)):
        with pytest.raises(ValueError, match="coefficients"):
            codec.encode(y, z, 6, wrong)


def test_a_refined_payload_starts_with_the_latents_of_the_quality_below(arrays):
    codec = LatentCodec(arrays)
    rng = np.random.default_rng(3)
    y, z = rng.normal(0, 1, (4, 8, 12)).astype(np.float32), rng.normal(0, 2, (2, 2, 3)).astype(np.float32)
    coefficients, _ = drawn(1.0)
    plain, refined = codec.encode(y, z, 5), codec.encode(y, z, 6, coefficients)
    np.testing.assert_array_equal(plain.y_hat, refined.y_hat)
    assert len(refined.payload) > len(plain.payload)
    y_hat, symbols = codec.decode(refined.payload, 6, 8, 12)
    np.testing.assert_array_equal(y_hat, plain.y_hat)
    assert symbols.refinement is not None and refined.symbols.refinement is not None
    np.testing.assert_array_equal(symbols.refinement.levels, refined.symbols.refinement.levels)
    ideal = codec.entropy_bits(refined.symbols, 6) / 8
    assert abs(len(refined.payload) - ideal) <= 0.01 * ideal + 2


def test_no_refinement_bounds_nothing():
    low, high = Refinement.nothing(2, 3).bounds()
    assert low.shape == high.shape == (2, 3, 16, 16)
    assert np.isneginf(low).all() and np.isposinf(high).all()
