"""Every conventional codec round-trips, gets better up its ladder, and is charged for its payload only."""

import importlib.util
import os
import struct

import numpy as np
import pytest

from benchmarks.rd.codecs import (
    CODECS,
    codec_named,
    jpeg_payload_bytes,
    nal_units,
    obus,
    webp_payload_bytes,
)
from common.errors import CorruptPayload, UsageError
from common.quality import psnr

NEEDS = {"jpeg": "PIL", "webp": "PIL", "jxl": "pillow_jxl", "hevc": "av", "av1": "av"}


def _need(name):
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} (extra bench) is not installed")


def _scene(height, width):
    """A smooth coloured picture with edges."""
    y, x = np.mgrid[:height, :width].astype(float)
    planes = [127 + 90 * np.sin(x / (9 + 4 * c)) * np.cos(y / (7 + 3 * c)) for c in range(3)]
    picture = np.stack(planes, -1)
    picture[height // 3 : height // 2, width // 4 : width // 2] = (210, 40, 30)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(64, 96), (75, 101)])
@pytest.mark.parametrize("name", sorted(CODECS))
def test_round_trip_keeps_size_and_content(name, shape):
    _need(name)
    codec, picture = CODECS[name], _scene(*shape)
    worst, best = codec.code(picture, codec.ladder[0]), codec.code(picture, codec.ladder[-1])
    for coded in (worst, best):
        assert coded.image.shape == picture.shape
        assert coded.image.dtype == np.uint8
        assert coded.payload_bytes > 10
    assert worst.payload_bytes < best.payload_bytes < picture.size
    assert psnr(picture, worst.image) < psnr(picture, best.image)
    assert psnr(picture, best.image) > 20


@pytest.mark.parametrize("name", sorted(CODECS))
def test_colours_are_not_swapped(name):
    _need(name)
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:] = (200, 90, 30)
    coded = CODECS[name].code(picture, CODECS[name].ladder[-1])
    assert np.abs(coded.image.reshape(-1, 3).mean(0) - (200, 90, 30)).max() < 12  # coarse quantisation


@pytest.mark.parametrize("name", sorted(CODECS))
def test_same_picture_same_payload(name):
    _need(name)
    picture, codec = _scene(64, 96), CODECS[name]
    first, second = (codec.code(picture, codec.ladder[1]) for _ in range(2))
    assert first.payload_bytes == second.payload_bytes
    assert np.array_equal(first.image, second.image)


def test_jpeg_payload_is_the_scan():
    head = b"\xff\xd8" + b"\xff\xe0" + struct.pack(">H", 4) + b"ab"
    table = b"\xff\xc4" + struct.pack(">H", 7) + b"12345"
    scan = b"\xff\xda" + struct.pack(">H", 3) + b"x" + b"\x01\xff\x00\x02\xff\xd0\x03"
    data = head + table + scan + b"\xff\xd9"
    assert jpeg_payload_bytes(data, tables=False) == 7
    assert jpeg_payload_bytes(data, tables=True) == 7 + 9
    with pytest.raises(CorruptPayload, match="byte 2"):
        jpeg_payload_bytes(b"\xff\xd8\x00\xe0\x00\x04ab", tables=False)


def test_webp_payload_is_the_picture_chunk():
    chunks = b"VP8X" + struct.pack("<I", 3) + b"abc\0" + b"VP8 " + struct.pack("<I", 5) + b"12345\0"
    assert webp_payload_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks) == 5


def test_nal_units_are_split_at_start_codes():
    stream = b"\0\0\0\1\x40\x01abc" + b"\0\0\1\x26\x01slice" + b"\0\0\0\1\x02\x01x"
    assert list(nal_units(stream)) == [(32, 5), (19, 7), (1, 3)]


def test_obus_are_split_by_their_sizes():
    stream = b"\x12\x00" + b"\x0a\x02ab" + b"\x32\x81\x01" + bytes(129)
    assert list(obus(stream)) == [(2, 2), (1, 4), (6, 132)]
    assert list(obus(b"\x30abc")) == [(6, 4)]
    with pytest.raises(CorruptPayload):
        list(obus(b"\x32\xff"))


def test_unknown_codec_is_named():
    with pytest.raises(UsageError, match="h265"):
        codec_named("h265")


def test_av1_leaves_the_scheduling_class_as_it_was():
    _need("av1")
    if not hasattr(os, "sched_getscheduler"):
        pytest.skip("this system has no scheduling classes")
    before = os.sched_getscheduler(0)
    codec_named("av1").code(np.full((64, 64, 3), 90, np.uint8), 50)
    assert os.sched_getscheduler(0) == before
