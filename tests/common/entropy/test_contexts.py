"""common.entropy.contexts: the same integers, in fewer bytes, with tables that the neighbours choose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.entropy import LatentCodec
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.contexts import ContextCodec, combinations
from common.entropy.tables import quantise_pmf
from common.errors import BitstreamError, BundleCorrupt, CorruptPayload

STORED = Path(__file__).parents[2] / "vectors" / "v1" / "tables-context.json"
SHAPE = (4, 8, 12)


@pytest.fixture(scope="module")
def arrays():
    stored = json.loads(STORED.read_text()).items()
    return {name: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for name, v in stored}


def contexts(arrays) -> ContextCodec:
    return ContextCodec(arrays, 2, 4, "file")


def drawn(spread: float = 1.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return values (4, 8, 12), and which of them are coded; the others are 0."""
    rng = np.random.default_rng(seed)
    coded = rng.random(SHAPE) < 0.8
    return np.where(coded, np.rint(rng.laplace(0, spread, SHAPE)), 0).astype(np.int32), coded


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0])
def test_values_come_back_in_about_their_ideal_length(arrays, which, spread):
    codec, (values, coded) = contexts(arrays), drawn(spread)
    encoder = RangeEncoder()
    codec.encode(encoder, which, values, coded)
    payload = encoder.finish()
    decoder = RangeDecoder(payload)
    got = codec.decode(decoder, which, coded)
    decoder.finish()
    np.testing.assert_array_equal(got, values)
    assert got.dtype == np.int32
    assert abs(len(payload) - codec.bits(which, values, coded) / 8) < 2


def test_a_combination_is_left_above_and_above_to_the_right():
    values = np.array([[[0, 1, -1], [2, 0, 0], [0, -9, 0]]], np.int32)
    found = combinations(values, max_value=5)
    assert found[0, 0].tolist() == [9 + 3 + 1, 9 + 3 + 1, 18 + 3 + 1]
    assert found[0, 1].tolist() == [9 + 3 + 2, 18 + 6 + 0, 9 + 0 + 1]
    # An escaped value counts as positive, of whatever sign.
    assert found[0, 2].tolist() == [9 + 6 + 1, 9 + 3 + 1, 18 + 3 + 1]
    below = combinations(values, max_value=9)
    assert below[0, 2, 2] == 0 + 3 + 1


def test_tables_that_know_the_neighbours_need_fewer_bits(arrays):
    rng = np.random.default_rng(3)
    signs = np.repeat(np.repeat(rng.integers(-1, 2, (4, 2, 3)), 4, 1), 4, 2)  # patches of one sign
    values, coded = signs.astype(np.int32), np.ones(SHAPE, bool)
    where = combinations(values, 2)
    counts = np.full((27, 6), 0.1)
    np.add.at(counts, (where.ravel(), values.ravel() + 2), 1)

    def with_tables(rows: np.ndarray) -> float:
        freqs = np.diff(quantise_pmf(rows), axis=1).astype(np.uint16)
        own = arrays | {"context_y": np.broadcast_to(freqs, (2, 4, 27, 6))}
        return contexts(own).bits(0, values, coded)

    alike = np.broadcast_to(counts.sum(0), counts.shape)
    assert with_tables(counts) < 0.5 * with_tables(alike)


def test_a_payload_holds_the_same_latents(arrays):
    codec, plain = LatentCodec(arrays), LatentCodec({k: v for k, v in arrays.items() if "context" not in k})
    rng = np.random.default_rng(4)
    y, z = (rng.normal(0, s, shape).astype(np.float32) for s, shape in ((2, (4, 8, 12)), (1, (2, 2, 3))))
    want = plain.encode(y, z, 3)
    assert codec.encode(y, z, 3).payload == want.payload, "without a set all is as before"
    for which in (0, 1):
        got = codec.encode(y, z, 3, contexts=which)
        np.testing.assert_array_equal(got.y_hat, want.y_hat)
        assert got.payload != want.payload and got.coded_symbols == want.coded_symbols
        y_hat, symbols = codec.decode(got.payload, 3, 8, 12, contexts=which)
        np.testing.assert_array_equal(y_hat, want.y_hat)
        np.testing.assert_array_equal(symbols.z, want.symbols.z)
        bits = codec.entropy_bits(symbols, 3, which)
        assert abs(bits / 8 - len(got.payload)) < 2 and bits != codec.entropy_bits(symbols, 3)
    symbols, coded = codec.quantise(y, z, 3)
    np.testing.assert_array_equal(symbols.y, want.symbols.y)
    assert coded.sum() + z.size == want.coded_symbols and not symbols.y[~coded].any()


def test_bytes_that_no_encoder_made_are_refused(arrays):
    codec, refused = LatentCodec(arrays), 0
    rng = np.random.default_rng(6)
    for _ in range(200):
        payload = bytes(rng.integers(0, 256, rng.integers(0, 60), np.uint8))
        try:
            codec.decode(payload, 3, 8, 12, contexts=1)
        except CorruptPayload:
            refused += 1
        except BitstreamError as why:  # pragma: no cover
            pytest.fail(f"another error: {why!r}")
    assert refused > 150


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "context_z"}, "'context_z' is missing"),
        (lambda a: a | {"context_y": a["context_y"].astype(np.int32)}, "'context_y' is int32"),
        (lambda a: a | {"context_y": a["context_y"][0]}, "'context_y' is uint16 of shape"),
        (lambda a: a | {"context_y": a["context_y"][:1]}, "2 and 1 sets"),
        (lambda a: a | {"context_y": a["context_y"][:, :, :26]}, "do not fit the codec"),
        (lambda a: a | {"context_y": a["context_y"][:, :3]}, "do not fit the codec"),
        (lambda a: a | {"context_z": a["context_z"][:, :1]}, "do not fit the codec"),
        (lambda a: a | {"context_y": np.where(a["context_y"] > 0, 9, 9).astype(np.uint16)}, "of 65536"),
        (lambda a: a | {"context_z": a["context_z"][..., :-1]}, "an even number"),
    ],
)
def test_tables_that_break_the_rules_are_refused(arrays, change, what):
    with pytest.raises(BundleCorrupt, match=what):
        LatentCodec(change(arrays))


def test_a_symbol_without_a_probability_is_refused(arrays):
    y = arrays["context_y"].copy()
    y[1, 2, 3, 0], y[1, 2, 3, 1] = 0, y[1, 2, 3, 1] + y[1, 2, 3, 0]
    with pytest.raises(BundleCorrupt, match="at least 1 each"):
        LatentCodec(arrays | {"context_y": y})


def test_there_are_at_most_64_sets(arrays):
    many = {key: np.repeat(arrays[key], 33, 0)[:65] for key in ("context_z", "context_y")}
    assert ContextCodec({k: v[:64] for k, v in many.items()}, 2, 4, "file").sets == 64
    with pytest.raises(BundleCorrupt, match="at most 64"):
        ContextCodec(many, 2, 4, "file")


def test_a_set_is_asked_of_tables_that_have_none(arrays):
    plain = LatentCodec({k: v for k, v in arrays.items() if "context" not in k})
    y, z = np.zeros((4, 4, 4), np.float32), np.zeros((2, 1, 1), np.float32)
    for asked in (lambda: plain.encode(y, z, 3, contexts=0), lambda: plain.decode(b"", 3, 4, 4, contexts=0)):
        with pytest.raises(ValueError, match="no set 0 of context tables"):
            asked()
