"""Illumination: both ends agree, the truth is in the intervals, the length is the entropy, bad arrays are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.entropy import LatentCodec
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.illumination import LIMIT, UNIT, IlluminationCodec
from common.entropy.tables import laplace_tables
from common.errors import BundleCorrupt, CorruptPayload

TABLES = Path(__file__).parents[2] / "vectors" / "v1" / "tables-lit.json"
QUALITIES = 8
WAVES = 5


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Five waves; quality 0 carries none, quality 1 two."""
    stored = json.loads(TABLES.read_text())
    return {n: np.array(v["data"], dtype=v["dtype"]).reshape(v["shape"]) for n, v in stored.items()}


@pytest.fixture
def codec(arrays) -> IlluminationCodec:
    return IlluminationCodec(arrays, QUALITIES, "test")


def many() -> dict[str, np.ndarray]:
    """Return arrays of as many waves as there may be, all of them carried."""
    waves = [(p, v, u) for p in range(3) for v in range(5) for u in range(5)][:64]
    return {
        "light_wave": np.array(waves, np.int32),
        "light_step": np.full(64, 100, np.int32),
        "light_mean": np.arange(-32, 32, dtype=np.int32),
        "light_count": np.full(QUALITIES, 64, np.int32),
        "light_cdf": laplace_tables(np.linspace(0.1, 4, 64), 15),
    }


def drawn(arrays: dict[str, np.ndarray], spread: float, seed: int = 0) -> np.ndarray:
    """Draw coefficients whose levels have a spread."""
    x = np.random.default_rng(seed).laplace(0, spread, len(arrays["light_wave"]))
    return (arrays["light_mean"] + x * arrays["light_step"]) / UNIT


def latents(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (4, 4, 8)).astype(np.float32), rng.normal(0, 2, (2, 1, 2)).astype(np.float32)


@pytest.mark.parametrize(("quality", "count"), [(0, 0), (1, 2), (2, 5), (7, 5)])
@pytest.mark.parametrize("spread", [0.3, 3.0, 9000.0])
def test_both_ends_agree(arrays, codec, quality, count, spread):
    assert codec.count(quality) == codec.count(0, count) == count
    told = codec.quantise(drawn(arrays, spread), count)
    assert told.levels.shape == told.low.shape == told.high.shape == (count,)
    assert told.waves == [tuple(one) for one in arrays["light_wave"][:count].tolist()]
    encoder = RangeEncoder()
    codec.encode(encoder, told.levels)
    decoder = RangeDecoder(encoder.finish())
    got = codec.decode(decoder, count)
    decoder.finish()
    assert got.levels.dtype == np.int32 and got.waves == told.waves
    for name in ("levels", "low", "high"):
        np.testing.assert_array_equal(getattr(got, name), getattr(told, name))


@pytest.mark.parametrize("spread", [0.3, 3.0, 200.0])
def test_the_truth_is_in_the_interval_and_an_interval_is_a_step(arrays, codec, spread):
    for seed in range(20):
        coefficients = drawn(arrays, spread, seed)
        told = codec.quantise(coefficients, 5)
        assert (told.low <= coefficients + 1e-9).all() and (coefficients <= told.high + 1e-9).all()
        np.testing.assert_allclose(told.high - told.low, arrays["light_step"] / UNIT)
        centre = (arrays["light_mean"] + told.levels * arrays["light_step"]) / UNIT
        np.testing.assert_allclose((told.low + told.high) / 2, centre, atol=1e-9)


def test_coefficients_beyond_all_levels_get_the_last_one(arrays, codec):
    told = codec.quantise(np.array([1e9, -1e9, 1e9, 0, 0]), 5)
    assert told.levels[:3].tolist() == [LIMIT, -LIMIT, LIMIT]
    encoder = RangeEncoder()
    codec.encode(encoder, told.levels)
    np.testing.assert_array_equal(codec.decode(RangeDecoder(encoder.finish()), 5).levels, told.levels)


@pytest.mark.parametrize("spread", [0.5, 4.0, 60.0])
def test_the_length_is_the_entropy(spread):
    arrays = many()
    codec = IlluminationCodec(arrays, QUALITIES, "test")
    for seed in range(5):
        levels = codec.quantise(drawn(arrays, spread, seed), 64).levels
        encoder = RangeEncoder()
        codec.encode(encoder, levels)
        ideal = codec.bits(levels) / 8
        assert abs(len(encoder.finish()) - ideal) <= 0.005 * ideal + 2
    assert codec.bits(np.empty(0, np.int32)) == 0


def test_values_at_the_edge_of_a_table_are_inside_and_the_next_ones_are_escaped(arrays, codec):
    inside = np.array([5, -5, 5, -5, 0], np.int32)
    beyond = inside + np.sign(inside)
    for levels in (inside, beyond, np.array([6, 70000 - 5000, -6, 1000, -65535], np.int32)):
        encoder = RangeEncoder()
        codec.encode(encoder, levels)
        np.testing.assert_array_equal(codec.decode(RangeDecoder(encoder.finish()), 5).levels, levels)
    assert codec.bits(beyond) > codec.bits(inside)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("light_wave", lambda a: a.astype(np.int64)),
        ("light_wave", lambda a: a[0]),
        ("light_wave", lambda a: a[:, :2]),
        ("light_wave", lambda a: a[:4]),
        ("light_wave", lambda a: a[:0]),
        ("light_wave", lambda a: a * 0),
        ("light_wave", lambda a: np.where(np.arange(5)[:, None] == 4, a[0], a).astype(np.int32)),
        ("light_wave", lambda a: a + np.array([1, 0, 0], np.int32)),
        ("light_wave", lambda a: a + np.array([0, 1, 0], np.int32)),
        ("light_wave", lambda a: a + np.array([0, 0, 1], np.int32)),
        ("light_wave", lambda a: a - 1),
        ("light_step", lambda a: a.astype(np.uint32)),
        ("light_step", lambda a: a[None]),
        ("light_step", lambda a: a[:-1]),
        ("light_step", lambda a: a - 1),
        ("light_step", lambda a: a + 1),
        ("light_step", lambda a: -a),
        ("light_mean", lambda a: a.astype(np.float32)),
        ("light_mean", lambda a: a[:, None]),
        ("light_mean", lambda a: a[:-1]),
        ("light_mean", lambda a: a + 1),
        ("light_mean", lambda a: a - 1),
        ("light_mean", lambda a: np.full_like(a, -(1 << 31))),
        ("light_count", lambda a: a.astype(np.int8)),
        ("light_count", lambda a: a[:, None]),
        ("light_count", lambda a: a[:-1]),
        ("light_count", lambda a: a + 1),
        ("light_count", lambda a: a - 1),
        ("light_cdf", lambda a: a.astype(np.int64)),
        ("light_cdf", lambda a: a[0]),
        ("light_cdf", lambda a: a[:-1]),
        ("light_cdf", lambda a: a[:, :-1]),
        ("light_cdf", lambda a: a[:, ::-1]),
        ("light_cdf", lambda a: a * 0),
    ],
)
def test_arrays_that_break_the_rules_are_refused(arrays, name, change):
    broken = {**arrays, name: change(arrays[name])}
    with pytest.raises(BundleCorrupt, match="light_"):
        IlluminationCodec(broken, QUALITIES, "file")
    with pytest.raises(BundleCorrupt, match="light_"):
        LatentCodec(broken)


def test_every_array_is_needed(arrays):
    for name in [n for n in arrays if n.startswith("light_")]:
        with pytest.raises(BundleCorrupt, match=name):
            IlluminationCodec({n: v for n, v in arrays.items() if n != name}, QUALITIES, "file")


def test_more_than_64_waves_are_refused():
    arrays = many()
    assert len(IlluminationCodec(arrays, QUALITIES, "file").waves) == 64
    for name in ("light_step", "light_mean", "light_cdf"):
        arrays[name] = np.concatenate([arrays[name], arrays[name][-1:]])
    arrays["light_wave"] = np.append(arrays["light_wave"], [[2, 15, 15]], axis=0).astype(np.int32)
    with pytest.raises(BundleCorrupt, match="at most 64 waves"):
        IlluminationCodec(arrays, QUALITIES, "file")


def test_arrays_of_other_qualities_do_not_fit(arrays):
    with pytest.raises(BundleCorrupt, match="7 qualities"):
        IlluminationCodec(arrays, 7, "file")


def test_a_bundle_has_one_if_it_says_how_many_waves(arrays):
    assert LatentCodec(arrays).illumination is not None
    plain = LatentCodec({n: v for n, v in arrays.items() if n != "light_count"})
    assert plain.illumination is None
    y, z = latents()
    payload = plain.encode(y, z, 3).payload
    assert plain.encode(y, z, 3, light=np.zeros(WAVES)).payload == payload, "what it has no place for is left"
    assert plain.decode(payload, 3, 4, 8)[1].illumination is None


@pytest.mark.parametrize("quality", [0, 1, 5])
def test_a_payload_with_waves_holds_the_same_latents(arrays, quality):
    codec = LatentCodec(arrays)
    plain = LatentCodec({n: v for n, v in arrays.items() if n != "light_count"}).encode(*latents(), quality)
    coded = codec.encode(*latents(), quality, light=drawn(arrays, 3.0))
    np.testing.assert_array_equal(coded.y_hat, plain.y_hat)
    assert coded.coded_symbols == plain.coded_symbols + codec.illumination.count(quality)
    assert (coded.payload == plain.payload) == (quality == 0)
    y_hat, symbols = codec.decode(coded.payload, quality, 4, 8)
    np.testing.assert_array_equal(y_hat, coded.y_hat)
    np.testing.assert_array_equal(symbols.illumination.levels, coded.symbols.illumination.levels)


def test_waves_come_behind_a_refinement(arrays):
    codec = LatentCodec(arrays)
    rng = np.random.default_rng(4)
    coefficients = rng.laplace(0, 0.3, (4, 8, 16, 16)).astype(np.float32)
    coded = codec.encode(*latents(), 7, coefficients, drawn(arrays, 2.0))
    _, symbols = codec.decode(coded.payload, 7, 4, 8)
    np.testing.assert_array_equal(symbols.refinement.levels, coded.symbols.refinement.levels)
    np.testing.assert_array_equal(symbols.illumination.levels, coded.symbols.illumination.levels)
    ideal = codec.entropy_bits(coded.symbols, 7) / 8
    assert abs(len(coded.payload) - ideal) <= 0.01 * ideal + 2


def test_a_frame_of_such_a_bundle_needs_its_waves(arrays):
    codec = LatentCodec(arrays)
    for wrong in (None, np.zeros(WAVES - 1), np.zeros((WAVES, 1))):
        for quality in (0, 3):
            with pytest.raises(ValueError, match="illumination"):
                codec.encode(*latents(), quality, light=wrong)


def test_the_ideal_length_includes_the_waves(arrays):
    codec = LatentCodec({**arrays, **many()})
    coded = codec.encode(*latents(), 3, light=drawn(many(), 3.0))
    levels = coded.symbols.illumination.levels
    plain = LatentCodec({n: v for n, v in arrays.items() if n != "light_count"})
    rest = plain.entropy_bits(coded.symbols, 3)
    assert codec.entropy_bits(coded.symbols, 3) == pytest.approx(rest + codec.illumination.bits(levels))
    assert abs(len(coded.payload) * 8 - codec.entropy_bits(coded.symbols, 3)) < 24


def test_payloads_cut_short_or_made_longer_are_corrupt(arrays):
    codec = LatentCodec({**arrays, **many()})
    coded = codec.encode(*latents(), 3, light=drawn(many(), 400.0))
    payload, levels = coded.payload, coded.symbols.illumination.levels
    plain = LatentCodec({n: v for n, v in arrays.items() if n != "light_count"})
    before = len(plain.encode(*latents(), 3).payload)
    assert len(payload) > before + 100
    refused, sizes = 0, range(before + 4, len(payload), 5)  # the latents are whole, the waves are not
    for size in sizes:
        try:
            _, symbols = codec.decode(payload[:size], 3, 4, 8)
            assert not np.array_equal(symbols.illumination.levels, levels)
        except CorruptPayload:
            refused += 1
    assert refused > 0.7 * len(sizes)
    for more in (b"\0", b"\1" * 9):
        with pytest.raises(CorruptPayload):
            codec.decode(payload + more, 3, 4, 8)


def test_an_escaped_level_beyond_the_limit_is_corrupt(codec):
    encoder = RangeEncoder()
    wide = IlluminationCodec(many() | {"light_count": np.full(8, 5, np.int32)}, 8, "test")
    wide.encode(encoder, np.array([LIMIT + 1, 0, 0, 0, 0], np.int32))
    with pytest.raises(CorruptPayload, match="limit"):
        wide.decode(RangeDecoder(encoder.finish()), 5)


def test_any_bytes_give_levels_or_an_error(codec):
    rng = np.random.default_rng(1)
    for size in (0, 1, 3, 7, 40):
        try:
            decoder = RangeDecoder(rng.bytes(size))
            assert np.abs(codec.decode(decoder, 5).levels).max() <= LIMIT
        except CorruptPayload:
            continue
