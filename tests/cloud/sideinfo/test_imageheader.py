"""Sizes from headers, compared with what real encoders wrote; hostile bytes raise documented errors only."""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
import pytest
from fake_edge import hevc
from hypothesis import given
from hypothesis import strategies as st

from cloud.sideinfo.imageheader import hevc_sizes, jpeg_size, webp_size
from common.errors import BitstreamError, CorruptPayload, Truncated

SIZES = [(64, 64), (65, 127), (375, 1242), (4096, 64)]


def coded(suffix: str, height: int, width: int, *options: int) -> bytes:
    return cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8), list(options))[1].tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_sizes_of_real_images(height: int, width: int) -> None:
    assert jpeg_size(coded(".jpg", height, width)) == (height, width)
    assert jpeg_size(coded(".jpg", height, width, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) == (height, width)
    assert webp_size(coded(".webp", height, width, cv2.IMWRITE_WEBP_QUALITY, 101)) == (height, width)
    assert webp_size(coded(".webp", height, width, cv2.IMWRITE_WEBP_QUALITY, 50)) == (height, width)


def test_size_of_an_extended_webp_and_refusal_of_an_animated_one() -> None:
    def extended(flags: int) -> bytes:
        body = bytes([flags, 0, 0, 0]) + (1241).to_bytes(3, "little") + (374).to_bytes(3, "little")
        inside = b"WEBP" + chunk(b"VP8X", body)
        return b"RIFF" + len(inside).to_bytes(4, "little") + inside

    assert webp_size(extended(0)) == (375, 1242)
    with pytest.raises(CorruptPayload, match="animated"):
        webp_size(extended(2))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (70, 98), (128, 256), (374, 1242)])
def test_hevc_coded_size_holds_the_picture_and_less_than_a_block_more(height: int, width: int) -> None:
    first, second = hevc(2, height, width)
    ((coded_height, coded_width),) = hevc_sizes(first.data)
    assert 0 <= coded_height - height < 64 and 0 <= coded_width - width < 64
    assert hevc_sizes(second.data) == []


@pytest.mark.parametrize(
    ("read", "data", "error"),
    [
        (jpeg_size, b"", CorruptPayload),
        (jpeg_size, b"\x89PNG\r\n", CorruptPayload),
        (jpeg_size, b"\xff\xd8\xff\xe0\x00\x10", Truncated),
        (jpeg_size, b"\xff\xd8\xff\xc0\x00\x11\x08\x01", Truncated),
        (jpeg_size, b"\xff\xd8\xff\xda\x00\x08" + bytes(20), CorruptPayload),
        (jpeg_size, b"\xff\xd8\x00\x00\x00\x00", CorruptPayload),
        (webp_size, b"", CorruptPayload),
        (webp_size, b"RIFF\x00\x00\x00\x00WEBPVP8L", Truncated),
        (webp_size, b"RIFF\x00\x00\x00\x00WEBPABCD" + bytes(20), CorruptPayload),
        (hevc_sizes, b"", CorruptPayload),
        (hevc_sizes, b"no start code", CorruptPayload),
        (hevc_sizes, b"\x00\x00\x01\x42\x01", CorruptPayload),
        (hevc_sizes, b"\x00\x00\x01\x42\x01" + bytes(40), CorruptPayload),
    ],
)
def test_bad_headers(read, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(data)


@given(
    st.sampled_from([jpeg_size, webp_size, hevc_sizes]),
    st.sampled_from([b"", b"\xff\xd8", b"RIFF1234WEBPVP8X", b"RIFF1234WEBPVP8 ", b"\x00\x00\x01\x42\x01"]),
    st.binary(max_size=300),
)
def test_any_bytes_give_a_size_or_a_documented_error(read, start: bytes, rest: bytes) -> None:
    with contextlib.suppress(BitstreamError):
        read(start + rest)
