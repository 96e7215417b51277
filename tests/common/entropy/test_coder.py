"""The range coder: exact inverse, shortest bytes, carries, and hostile bytes."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from common.entropy import coder
from common.entropy.coder import IMPLIED_ZERO_BYTES, RangeDecoder, RangeEncoder
from common.errors import CorruptPayload

FLAT = [0, 16384, 32768, 49152, 65536]
SKEWED = [0, 1, 65000, 65535, 65536]
FIRST_HEAVY = [0, 65535, 65536]


def _encode(symbols: list[int], table: list[int]) -> bytes:
    encoder = RangeEncoder()
    encoder.encode_many([table[s] for s in symbols], [table[s + 1] - table[s] for s in symbols])
    return encoder.finish()


def _decode(payload: bytes, count: int, table: list[int]) -> list[int]:
    decoder = RangeDecoder(payload)
    symbols = decoder.decode_many([0] * count, [table])
    decoder.finish()
    return symbols


def test_bytes_worked_out_by_hand():
    # size = 0xFFFFFFFF, step = 0xFFFF; symbol 1 of FLAT: low = 0xFFFF * 0x4000 = 0x3FFFC000, size the same.
    # The smallest multiple of 2^24 from there is 0x40000000, so one byte says it all.
    assert _encode([1], FLAT) == b"\x40"
    assert _encode([0], FLAT) == b""
    assert _encode([3], FLAT) == b"\xc0"


def test_nothing_takes_no_bytes():
    assert RangeEncoder().finish() == b""
    RangeDecoder(b"").finish()


@pytest.mark.parametrize("table", [FLAT, SKEWED, FIRST_HEAVY, list(range(0, 65537, 64))])
@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_symbols_come_back(table: list[int], count: int):
    draw = random.Random(count)
    symbols = [draw.randrange(len(table) - 1) for _ in range(count)]
    assert _decode(_encode(symbols, table), count, table) == symbols


def test_one_by_one_is_the_same_as_in_bulk():
    draw = random.Random(5)
    symbols = [draw.randrange(4) for _ in range(300)]
    encoder = RangeEncoder()
    for s in symbols:
        encoder.encode(SKEWED[s], SKEWED[s + 1] - SKEWED[s])
    payload = encoder.finish()
    assert payload == _encode(symbols, SKEWED)
    decoder = RangeDecoder(payload)
    assert [decoder.decode(SKEWED) for _ in symbols] == symbols


def test_plain_bits_cost_one_bit_each():
    draw = random.Random(6)
    bits = [draw.randrange(2) for _ in range(800)]
    encoder = RangeEncoder()
    encoder.encode_bits(bits)
    payload = encoder.finish()
    assert 99 <= len(payload) <= 101
    decoder = RangeDecoder(payload)
    assert decoder.decode_bits(800) == bits


def test_length_is_the_entropy_and_less_than_two_bytes_more():
    draw = random.Random(7)
    for table in (FLAT, SKEWED, list(range(0, 65537, 64))):
        freqs = [b - a for a, b in pairwise(table)]
        symbols = draw.choices(range(len(freqs)), freqs, k=3000)
        ideal = sum(16 - math.log2(freqs[s]) for s in symbols) / 8
        assert ideal - 1 <= len(_encode(symbols, table)) <= ideal * 1.001 + 2


def test_carries_run_through_full_bytes(monkeypatch: pytest.MonkeyPatch):
    rippled = []
    original = coder._propagate_carry

    def watch(written: bytearray) -> None:
        rippled.append(written[-1] == 0xFF)
        original(written)

    monkeypatch.setattr(coder, "_propagate_carry", watch)
    # 0.111...1 in binary, then a step up: low hangs just below a whole and a late symbol tips it over.
    for seed in range(200):
        draw = random.Random(seed)
        symbols = [draw.choice([1, 2, 2, 2, 3]) for _ in range(400)]
        assert _decode(_encode(symbols, SKEWED), 400, SKEWED) == symbols
    assert any(rippled)
    assert not all(rippled)


def test_trailing_zeros_are_implied_but_only_sixteen():
    short, long = _encode([0] * 40, FLAT), _encode([0] * 400, FLAT)
    assert short == b""  # 10 bytes of symbols and the last 4: all of them implied
    assert long == bytes(100 + 4 - 16)
    assert _decode(short, 40, FLAT) == [0] * 40
    assert _decode(long, 400, FLAT) == [0] * 400


@pytest.mark.parametrize("slice_", [(-1, 5), (0, 0), (5, -1), (65536, 1), (1, 65536)])
def test_impossible_slices_are_refused(slice_: tuple[int, int]):
    with pytest.raises(ValueError, match="not inside"):
        RangeEncoder().encode(*slice_)


def test_starts_and_freqs_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        RangeEncoder().encode_many([0, 1], [1])


def test_a_short_payload_is_found_out_after_sixteen_bytes():
    with pytest.raises(CorruptPayload, match="2 bytes ends too early"):
        RangeDecoder(b"\x12\x34").decode_many([0] * 10**6, [FLAT])


def test_left_over_bytes_are_refused():
    payload = _encode([1, 2, 3, 1, 2, 3], FLAT)
    with pytest.raises(CorruptPayload, match="left over"):
        _decode(payload + b"\x01" * 5, 6, FLAT)


def test_a_needless_zero_byte_is_refused():
    payload = _encode([1, 2, 3, 1, 2, 3], FLAT)
    with pytest.raises(CorruptPayload, match="shortest form"):
        _decode(payload + b"\0", 6, FLAT)
    with pytest.raises(CorruptPayload, match="shortest form"):
        _decode(b"\0", 1, FLAT)


def test_a_code_value_outside_every_symbol_is_refused():
    with pytest.raises(CorruptPayload, match="outside"):
        RangeDecoder(b"\xff\xff\xff\xff").decode(FLAT)


def test_the_bound_on_implied_zeros_is_that_of_the_specification():
    assert IMPLIED_ZERO_BYTES == 16
