"""Sizes from headers, compared with what real encoders wrote; hostile bytes raise documented errors only."""

from __future__ import annotations

import contextlib
import time

import cv2
import numpy as np
import pytest
from fake_edge import hevc
from hypothesis import given
from hypothesis import strategies as st

from cloud.sideinfo.imageheader import hevc_sizes, image_is_lossy, jpeg_size, webp_size
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


def extended(flags: int, inside: bytes, height: int = 375, width: int = 1242) -> bytes:
    """Return an extended WebP file: a canvas of (height, width) around the chunks `inside`."""
    body = bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    riff = b"WEBP" + chunk(b"VP8X", body) + inside
    return b"RIFF" + len(riff).to_bytes(4, "little") + riff


@pytest.mark.parametrize("quality", [50, 101])
def test_size_of_an_extended_webp_and_refusal_of_an_animated_one(quality: int) -> None:
    image = coded(".webp", 375, 1242, cv2.IMWRITE_WEBP_QUALITY, quality)[12:]
    assert webp_size(extended(0, image)) == (375, 1242)
    assert webp_size(extended(0, chunk(b"ICCP", bytes(5)) + image + chunk(b"EXIF", bytes(9)))) == (375, 1242)
    with pytest.raises(CorruptPayload, match="animated"):
        webp_size(extended(2, image))
    with pytest.raises(CorruptPayload, match="ANMF"):
        webp_size(extended(0, chunk(b"ANMF", bytes(16)) + image))
    with pytest.raises(Truncated):
        webp_size(extended(0, b""))
    with pytest.raises(CorruptPayload, match="ICCP"):
        webp_size(extended(0, chunk(b"ICCP", b"") * 20 + image))


def test_which_images_are_lossy() -> None:
    lossless, lossy = (coded(".webp", 64, 96, cv2.IMWRITE_WEBP_QUALITY, quality) for quality in (101, 50))
    profiled = extended(0, chunk(b"ICCP", bytes(5)) + lossy[12:])
    assert image_is_lossy(coded(".jpg", 64, 96)) and image_is_lossy(lossy) and image_is_lossy(profiled)
    assert not any(map(image_is_lossy, (lossless, coded(".png", 64, 96), b"", b"RIFF", b"RIFF1234WEBPVP8X")))


def test_a_webp_image_larger_than_its_canvas_is_refused() -> None:
    image = coded(".webp", 2048, 2048, cv2.IMWRITE_WEBP_QUALITY, 101)[12:]
    with pytest.raises(CorruptPayload, match="375x1242 around an image of 2048x2048"):
        webp_size(extended(0, image))


def test_a_jpeg_header_hidden_where_only_a_decoder_looks_is_refused() -> None:
    """libjpeg steps over 0xff 0x00 byte by byte; read as a segment, it would hide the header that counts."""
    bomb = coded(".jpg", 1800, 1800, cv2.IMWRITE_JPEG_QUALITY, 1)[2:]
    assert len(bomb) < 65_533
    hidden = b"\xff\xd8\xff\x00" + (len(bomb) + 2).to_bytes(2, "big") + bomb + coded(".jpg", 64, 96)[2:]
    seen = cv2.imdecode(np.frombuffer(hidden, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None and seen.shape == (1800, 1800, 3)  # it is a real one
    with pytest.raises(CorruptPayload, match="without a frame header"):
        jpeg_size(hidden)


def test_a_jpeg_image_of_endless_scans_is_refused() -> None:
    image = coded(".jpg", 64, 96, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert 2 < image.count(b"\xff\xda") < 20
    at = image.rindex(b"\xff\xda")
    scan = image[at:-2]
    assert jpeg_size(image[:at] + scan * 40 + image[-2:]) == (64, 96)
    with pytest.raises(CorruptPayload, match="64 scans"):
        jpeg_size(image[:at] + scan * 100 + image[-2:])


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


SPS = b"\x00\x00\x01\x42\x01\x01" + bytes(12) + b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("read", "piece", "told"),
    [
        (jpeg_size, b"\xff", "1024 JPEG markers"),
        (jpeg_size, b"\xff\xd0", "1024 JPEG markers"),
        (jpeg_size, b"\xff\xe0\x00\x02", "1024 JPEG markers"),
        (hevc_sizes, b"\x00\x00\x01", "1024 HEVC units"),
        (hevc_sizes, SPS, "1024 HEVC units"),
    ],
)
def test_sixteen_mib_of_headers_are_refused_at_once(read, piece: bytes, told: str) -> None:
    data = (b"\xff\xd8" if read is jpeg_size else b"") + piece * ((16 << 20) // len(piece))
    began = time.process_time()
    with pytest.raises(CorruptPayload, match=told):
        read(data)
    assert time.process_time() - began < 0.5


def test_more_parameter_sets_than_a_stream_can_name_are_refused() -> None:
    assert len(hevc_sizes(SPS * 16)) == 16
    with pytest.raises(CorruptPayload, match="more than 16"):
        hevc_sizes(SPS * 17)


@given(
    st.sampled_from([jpeg_size, webp_size, hevc_sizes]),
    st.sampled_from([b"", b"\xff\xd8", b"RIFF1234WEBPVP8X", b"RIFF1234WEBPVP8 ", b"\x00\x00\x01\x42\x01"]),
    st.binary(max_size=300),
)
def test_any_bytes_give_a_size_or_a_documented_error(read, start: bytes, rest: bytes) -> None:
    with contextlib.suppress(BitstreamError):
        read(start + rest)
