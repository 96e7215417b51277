"""Latents: both ends agree, the length is the entropy, skipped symbols are free, bad bytes are refused."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from common.entropy import LatentCodec, laplace_tables
from common.entropy.coder import RangeEncoder
from common.entropy.contexts import LIMIT as Y_LIMIT
from common.entropy.tables import escape_code
from common.errors import BitstreamError, BundleCorrupt, CorruptPayload, FieldOutOfRange

SHAPE = (2, 3)  # h64, w64


def _latents(
    codec: LatentCodec, quality: int, seed: int = 1, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw z, and y around the means that z predicts."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (codec.hyper_channels, *SHAPE)).astype(np.float32)
    mean_q, scale_index = codec.hyper.run(np.rint(z).astype(int), quality)
    noise = rng.laplace(0, spread * (0.02 + scale_index / 25), mean_q.shape)
    return (mean_q / 16 + noise).astype(np.float32), z


@pytest.mark.parametrize("quality", range(8))
def test_both_ends_agree(codec, quality):
    y, z = _latents(codec, quality)
    encoded = codec.encode(y, z, quality)
    y_hat, symbols = codec.decode(encoded.payload, quality, 4 * SHAPE[0], 4 * SHAPE[1])
    np.testing.assert_array_equal(symbols.z, encoded.symbols.z)
    np.testing.assert_array_equal(symbols.y, encoded.symbols.y)
    np.testing.assert_array_equal(y_hat, encoded.y_hat)
    assert y_hat.dtype == np.float32
    np.testing.assert_array_equal(symbols.z, np.rint(z))


def test_coded_latents_are_within_half_a_step_and_skipped_ones_are_the_mean(codec):
    y, z = _latents(codec, 3)
    encoded = codec.encode(y, z, 3)
    mean_q, scale_index = codec.hyper.run(encoded.symbols.z, 3)
    coded = scale_index > codec.skip_index
    assert 0.2 < coded.mean() < 0.8
    assert np.abs(encoded.y_hat - y)[coded].max() <= 0.5 + 1e-4
    np.testing.assert_array_equal(encoded.y_hat[~coded], (mean_q / 16)[~coded])
    assert encoded.coded_symbols == coded.sum() + z.size


@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("quality", [0, 7])
def test_the_length_is_the_entropy_within_two_percent_and_two_bytes(codec, quality, spread):
    y, z = _latents(codec, quality, spread=spread)
    encoded = codec.encode(y, z, quality)
    ideal_bytes = codec.entropy_bits(encoded.symbols, quality) / 8
    assert abs(len(encoded.payload) - ideal_bytes) <= 0.02 * ideal_bytes + 2


def test_the_length_agrees_with_another_range_coder():
    constriction = pytest.importorskip(
        "constriction", reason="constriction is not installed: no second opinion"
    )
    rng = np.random.default_rng(4)
    cdf = laplace_tables(np.geomspace(0.1, 8, 16), 31)
    ids = rng.integers(0, 16, 4000)
    uniform = rng.integers(0, 65536, ids.size)
    symbols = (cdf[ids] <= uniform[:, None]).sum(axis=1) - 1
    ours = RangeEncoder()
    ours.encode_many(cdf[ids, symbols].tolist(), (cdf[ids, symbols + 1] - cdf[ids, symbols]).tolist())
    theirs = constriction.stream.queue.RangeEncoder()
    for index, row in enumerate(np.diff(cdf, axis=1)):
        model = constriction.stream.model.Categorical(row / 65536, perfect=False)
        theirs.encode(symbols[ids == index].astype(np.int32), model)
    # Its words are four bytes, so it may end up to four bytes later.
    assert -8 <= len(ours.finish()) - theirs.num_bits() / 8 <= 2


def test_values_beyond_the_limits_are_clipped(codec):
    y, z = _latents(codec, 7)
    encoded = codec.encode(np.full_like(y, 1e9), np.full_like(z, -1e9), 7)
    assert set(encoded.symbols.z.ravel()) == {-127}
    assert set(encoded.symbols.y.ravel()) <= {0, Y_LIMIT}
    _, symbols = codec.decode(encoded.payload, 7, 4 * SHAPE[0], 4 * SHAPE[1])
    np.testing.assert_array_equal(symbols.y, encoded.symbols.y)


def test_certain_symbols_cost_nothing(arrays):
    arrays["skip_index"][:] = 63
    codec = LatentCodec(arrays)
    y, z = _latents(codec, 0)
    encoded = codec.encode(y, z, 0)
    assert encoded.coded_symbols == z.size
    assert not encoded.symbols.y.any()
    assert len(encoded.payload) <= z.size  # only z is left, some 2 to 4 bits each


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_latents_that_are_no_numbers_are_the_bundles_fault(codec, wrong):
    y, z = _latents(codec, 0)
    for spoiled in (y, z):
        kept = spoiled.flat[5]
        spoiled.flat[5] = wrong
        with pytest.raises(BundleCorrupt, match="finite"):
            codec.encode(y, z, 0)
        spoiled.flat[5] = kept


def test_shapes_and_qualities_that_do_not_fit_are_refused(codec):
    y, z = _latents(codec, 0)
    for bad_y, bad_z, quality in (
        (y[:, :-1], z, 0),
        (y[:3], z, 0),
        (y, z[:1], 0),
        (y, z[:, 0], 0),
        (y, z, 8),
    ):
        with pytest.raises(ValueError, match=r"shape|quality 8"):
            codec.encode(bad_y, bad_z, quality)
    for height, width in ((6, 4), (4, 7), (0, 4), (4, -4)):
        with pytest.raises(ValueError, match=f"{height}x{width}"):
            codec.decode(b"", 0, height, width)


def test_a_quality_the_bundle_does_not_have_is_a_bad_packet(arrays):
    arrays.update({key: arrays[key][:3] for key in ("b1", "b4", "z_cdf")})
    with pytest.raises(FieldOutOfRange, match=r"quality is 5 .allowed: 0..2"):
        LatentCodec(arrays).decode(b"", 5, 4, 4)


def test_an_escaped_z_beyond_127_is_refused(codec, arrays):
    encoder = RangeEncoder()
    row = arrays["z_cdf"][0, 0]
    encoder.encode(int(row[-2]), int(65536 - row[-2]))
    row = arrays["z_cdf"][0, 1]
    encoder.encode(int(row[7]), int(row[8] - row[7]))
    encoder.encode_bits(escape_code(128, 7))
    with pytest.raises(CorruptPayload, match="128 is above the limit of 127"):
        codec.decode(encoder.finish(), 0, 4, 4)


def test_every_truncation_of_a_payload_is_survived(codec):
    y, z = _latents(codec, 2)
    payload = codec.encode(y, z, 2).payload
    refused = 0
    for size in range(len(payload)):
        try:
            codec.decode(payload[:size], 2, 4 * SHAPE[0], 4 * SHAPE[1])
        except BitstreamError:
            refused += 1
    assert refused > 0.7 * (len(payload) - 16)


def test_a_codec_loads_from_its_file(arrays, codec, tmp_path):
    path = tmp_path / "entropy.safetensors"
    save_file(arrays, path)
    y, z = _latents(codec, 1)
    assert LatentCodec.from_bundle_file(path).encode(y, z, 1).payload == codec.encode(y, z, 1).payload


def test_a_file_that_is_missing_or_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "entropy.safetensors"
    with pytest.raises(BundleCorrupt, match=r"entropy\.safetensors"):
        LatentCodec.from_bundle_file(path)
    for content in (b"", b"not a safetensors file", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(BundleCorrupt, match="cannot be read"):
            LatentCodec.from_bundle_file(path)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("z_cdf", None, "'z_cdf' is missing"),
        ("y_cdf", np.zeros((64, 17), np.int64), "'y_cdf' is int64"),
        ("y_cdf", np.zeros((63, 17), np.int32), "does not fit"),
        ("y_cdf", np.zeros((64, 17), np.int32), "y_cdf: every table"),
        ("z_cdf", np.zeros((8, 3, 17), np.int32), "does not fit"),
        ("z_cdf", laplace_tables(np.ones(16), 128).reshape(8, 2, -1), "beyond 127"),
        ("skip_index", np.zeros(2, np.int32), "does not fit"),
        ("skip_index", np.array([64], np.int32), "64 is no scale index"),
        ("skip_index", np.array([-2], np.int32), "-2 is no scale index"),
    ],
)
def test_arrays_that_break_the_rules_are_refused(arrays, key, value, why):
    arrays.pop(key)
    if value is not None:
        arrays[key] = value
    with pytest.raises(BundleCorrupt, match=why):
        LatentCodec(arrays)


def test_a_bundle_can_ask_for_more_zeros(arrays):
    asked = np.array([62, 50, 50, 75, 50, 50, 50, 100], np.int32)
    plain, thrifty = LatentCodec(arrays), LatentCodec({**arrays, "round_at": asked})
    for quality in range(8):
        y, z = _latents(plain, quality)
        before, after = plain.encode(y, z, quality), thrifty.encode(y, z, quality)
        if asked[quality] == 50:
            assert after.payload == before.payload
            continue
        assert np.count_nonzero(after.symbols.y) < np.count_nonzero(before.symbols.y)
        assert len(after.payload) < len(before.payload)
        off = np.abs(after.y_hat - y)[after.y_hat != before.y_hat]
        assert off.max() <= asked[quality] / 100 + 1e-4
        np.testing.assert_array_equal(plain.decode(after.payload, quality, 8, 12)[0], after.y_hat)


@pytest.mark.parametrize("wrong", [[62] * 7, [49] * 8, [101] * 8])
def test_rounding_out_of_range_is_refused(arrays, wrong):
    with pytest.raises(BundleCorrupt, match="round_at"):
        LatentCodec({**arrays, "round_at": np.array(wrong, np.int32)})
