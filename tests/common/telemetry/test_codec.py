"""common.telemetry.codec: what is packed comes back; bombs, damage and foreign dictionaries are one error."""

import random
import tracemalloc
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BundleCorrupt, CorruptPayload, Oversize
from common.stream.limits import LIMITS
from common.stream.messages import Telemetry
from common.synthetic import OxtsRecorder
from common.telemetry import Record, TelemetryCodec
from common.telemetry.dictionary import SHIPPED, train_dictionary
from common.telemetry.record import MAX_PLAIN_BYTES


@pytest.fixture(scope="module")
def dictionary() -> bytes:
    return SHIPPED.read_bytes()


@pytest.fixture(scope="module")
def codec(dictionary) -> TelemetryCodec:
    return TelemetryCodec(dictionary)


def drive(seed: int, count: int) -> list[Record]:
    recorder = OxtsRecorder(seed)
    return [Record(i, i * 10**8, recorder.record(i)) for i in range(count)]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_any_record_comes_back(texts):
    codec = TelemetryCodec()
    records = [Record(10 + i, 1000 * i, text) for i, text in enumerate(texts)]
    assert codec.unpack(codec.pack("meta", records)) == records


def test_the_dictionary_helps_and_batches_help_more(codec):
    records = drive(987_654, 10)
    plain = TelemetryCodec()
    single = [len(codec.pack("oxts", [record]).data) for record in records]
    assert sum(single) < sum(len(plain.pack("oxts", [record]).data) for record in records)
    together = codec.pack("oxts", records)
    assert together.compressed and len(together.data) < 0.85 * sum(single)
    assert codec.unpack(together) == records


def test_a_record_too_small_to_shrink_travels_as_it_is(codec):
    message = codec.pack("meta", [Record(3, 4, b"on")])
    assert (message.compressed, message.data) == (False, b"on")
    assert codec.unpack(message) == [Record(3, 4, b"on")]


def test_what_the_dictionary_does_not_suit_is_none_the_worse(codec):
    text = b"".join(f"R_{i:02d}: {i / 7:e} {i / 11:e}\n".encode() for i in range(60))
    assert len(codec.pack("calib", [Record(0, 0, text)]).data) <= len(
        TelemetryCodec().pack("calib", [Record(0, 0, text)]).data
    )


def test_messages_say_whose_dictionary_they_need(codec):
    message = codec.pack("oxts", drive(1, 3))
    assert zstandard.get_frame_parameters(message.data).dict_id == codec.dictionary_id != 0
    with pytest.raises(CorruptPayload, match=f"needs dictionary {codec.dictionary_id}, the bundle's is 0"):
        TelemetryCodec().unpack(message)
    other = TelemetryCodec(train_dictionary([drive(seed, 60) for seed in range(8)], 2048))
    with pytest.raises(CorruptPayload, match="needs dictionary"):
        other.unpack(message)


def test_plain_frames_are_read_with_a_dictionary_loaded(codec):
    records = drive(2, 4)
    assert codec.unpack(TelemetryCodec().pack("oxts", records)) == records


def test_a_bomb_is_refused_before_memory_is_taken(codec):
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(256 << 20))
    assert len(bomb) < LIMITS.max_telemetry_bytes
    tracemalloc.start()
    try:
        with pytest.raises(CorruptPayload, match=f"allowed: {MAX_PLAIN_BYTES}"):
            codec.decompress(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_that_lies_about_its_size_is_refused(codec):
    frame = bytearray(zstandard.ZstdCompressor(level=19).compress(bytes(100_000)))
    assert frame[4] >> 6 == 2  # four bytes of content size follow the descriptor
    frame[5:9] = (10).to_bytes(4, "little")
    with pytest.raises(CorruptPayload, match="telemetry"):
        codec.decompress(bytes(frame))


@pytest.mark.parametrize(
    "name", ["no size", "window", "skippable", "two frames", "tail", "empty", "nothing", "text"]
)
def test_other_frames_are_refused(codec, name):
    zip_ = zstandard.ZstdCompressor().compress
    chunks = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=24)
    ).chunker()
    data = {
        "no size": zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 100),
        "window": b"".join([*chunks.compress(b"a" * 100), *chunks.finish()]),
        "skippable": b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
        "two frames": zip_(b"a" * 50) * 2,
        "tail": zip_(b"a" * 50) + b"!",
        "empty": zip_(b""),
        "nothing": b"",
        "text": b"49.0 8.4 110.1",
    }[name]
    with pytest.raises(CorruptPayload, match="telemetry"):
        codec.decompress(data)


def test_no_bit_can_flip_unnoticed(codec):
    message = codec.pack("oxts", drive(3, 1))
    for place in range(len(message.data)):
        for bit in (1, 128):
            changed = bytearray(message.data)
            changed[place] ^= bit
            try:
                got = codec.unpack(Telemetry(message.seq, message.capture_ns, "oxts", bytes(changed), True))
            except CorruptPayload:
                continue
            assert got == codec.unpack(message)  # a bit of the header that means nothing


@given(st.binary(max_size=200))
def test_foreign_bytes_are_one_error(data):
    codec = TelemetryCodec()
    for prefix in (b"", b"\x28\xb5\x2f\xfd"):
        with suppress(CorruptPayload):
            codec.unpack(Telemetry(0, 0, "oxts", prefix + data, True))


def test_what_does_not_fit_a_message_is_refused():
    with pytest.raises(Oversize):
        TelemetryCodec().pack("meta", [Record(0, 0, bytes(MAX_PLAIN_BYTES))])
    noise = random.Random(1).randbytes(LIMITS.max_telemetry_bytes + 1)
    with pytest.raises(Oversize):
        TelemetryCodec().pack("meta", [Record(0, 0, noise)])


@pytest.mark.parametrize(
    "content", [b"", b"no dictionary", b"\x37\xa4\x30\xec" + b"\x01\x02\x03\x04" + bytes(40)]
)
def test_what_is_no_dictionary_is_refused(content):
    with pytest.raises(BundleCorrupt, match=r"telemetry\.zdict"):
        TelemetryCodec(content)
