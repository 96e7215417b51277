"""What holds for any symbols and tables, and what no payload can make the decoder do."""

from __future__ import annotations

import contextlib
import itertools
import math
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.entropy import LatentCodec, quantise_pmf
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.tables import check_cdf, decode_escape, escape_code
from common.errors import BitstreamError

TABLES = st.lists(st.integers(1, 65535), min_size=1, max_size=40, unique=True).map(
    lambda inner: [0, *sorted(inner), 65536]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[int]]:
    """Draw some tables, the table of each symbol, and the symbols."""
    tables = draw(st.lists(TABLES, min_size=1, max_size=4))
    ids = draw(st.lists(st.integers(0, len(tables) - 1), max_size=300))
    symbols = [draw(st.integers(0, len(tables[i]) - 2)) for i in ids]
    return tables, ids, symbols


@given(streams())
def test_any_symbols_come_back_at_their_ideal_length(stream):
    tables, ids, symbols = stream
    starts = [tables[i][s] for i, s in zip(ids, symbols, strict=True)]
    freqs = [tables[i][s + 1] - tables[i][s] for i, s in zip(ids, symbols, strict=True)]
    encoder = RangeEncoder()
    encoder.encode_many(starts, freqs)
    payload = encoder.finish()
    decoder = RangeDecoder(payload)
    assert decoder.decode_many(ids, tables) == symbols
    decoder.finish()
    # Rounding size / 65536 down costs at most 1/256 of the interval a symbol: log2(257 / 256) bits.
    ideal_bits = sum(16 - math.log2(f) for f in freqs) + len(freqs) * math.log2(257 / 256)
    assert len(payload) <= ideal_bits / 8 + 1.01


@given(streams(), st.binary(max_size=60))
def test_any_payload_decodes_or_is_refused_and_has_one_form(stream, payload):
    tables, ids, _ = stream
    decoder = RangeDecoder(payload)
    try:
        symbols = decoder.decode_many(ids, tables)
        decoder.finish()
    except BitstreamError:
        return
    encoder = RangeEncoder()
    encoder.encode_many(
        [tables[i][s] for i, s in zip(ids, symbols, strict=True)],
        [tables[i][s + 1] - tables[i][s] for i, s in zip(ids, symbols, strict=True)],
    )
    assert len(encoder.finish()) <= len(payload)


@given(st.lists(st.integers(-60000, 60000)), st.integers(0, 50))
def test_any_escaped_values_come_back(values, max_value):
    values = [v for v in values if abs(v) > max_value]
    encoder = RangeEncoder()
    for value in values:
        encoder.encode_bits(escape_code(value, max_value))
    decoder = RangeDecoder(encoder.finish())
    assert [decode_escape(decoder, max_value, 65535) for _ in values] == values
    decoder.finish()


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=2, max_size=200).filter(any))
def test_any_probabilities_make_a_valid_table(pmf):
    if len(pmf) % 2:
        pmf.append(0.0)
    check_cdf(quantise_pmf(np.array([pmf])), "drawn")


@settings(max_examples=60)
@given(
    st.integers(0, 7),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2**32),
    st.sampled_from([0.3, 3, 300]),
)
def test_any_latents_come_back(latent_codec: LatentCodec, quality, h64, w64, seed, spread):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, spread, (2, h64, w64)).astype(np.float32)
    y = rng.normal(0, spread, (4, 4 * h64, 4 * w64)).astype(np.float32)
    encoded = latent_codec.encode(y, z, quality)
    y_hat, symbols = latent_codec.decode(encoded.payload, quality, 4 * h64, 4 * w64)
    np.testing.assert_array_equal(y_hat, encoded.y_hat)
    np.testing.assert_array_equal(symbols.z, encoded.symbols.z)
    np.testing.assert_array_equal(symbols.y, encoded.symbols.y)
    ideal_bytes = latent_codec.entropy_bits(symbols, quality) / 8
    assert abs(len(encoded.payload) - ideal_bytes) <= 0.02 * ideal_bytes + 2


@given(st.integers(0, 7), st.binary(max_size=400))
def test_any_payload_is_decoded_or_refused(latent_codec: LatentCodec, quality, payload):
    try:
        y_hat, symbols = latent_codec.decode(payload, quality, 8, 12)
    except BitstreamError:
        return
    assert np.isfinite(y_hat).all()
    assert np.abs(symbols.z).max() <= 127
    assert np.abs(symbols.y).max() <= 65535


@settings(max_examples=60)
@given(st.integers(0, 7), st.data())
def test_mutated_payloads_are_decoded_or_refused(latent_codec: LatentCodec, quality, data):
    rng = np.random.default_rng(quality)
    encoded = latent_codec.encode(
        rng.normal(0, 3, (4, 8, 16)).astype(np.float32),
        rng.normal(0, 2, (2, 2, 4)).astype(np.float32),
        quality,
    )
    payload = bytearray(encoded.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        latent_codec.decode(bytes(payload), quality, 8, 16)
    except BitstreamError:
        return


def test_the_largest_frame_with_hostile_bytes_is_refused_in_bounded_time(latent_codec: LatentCodec):
    for payload, quality in itertools.product((b"", b"\x5a" * 10, b"\x12" * 20_000), (0, 7)):
        began = time.process_time()
        with contextlib.suppress(BitstreamError):
            latent_codec.decode(payload, quality, 256, 256)
        assert time.process_time() - began < 20
