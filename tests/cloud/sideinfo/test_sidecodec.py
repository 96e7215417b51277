"""Side views: every codec gives the picture back, bombs are refused, a broken stream recovers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fake_edge import STEP_NS, coded, hevc, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.sideinfo import sidecodec
from cloud.sideinfo.sidecodec import HevcDecoder, SidePacket, open_side_decoder
from common.errors import BitstreamError, CorruptPayload, FrameSizeError
from common.types import SideCodec


def packet(frame) -> SidePacket:
    return SidePacket(frame.seq, frame.capture_ns, frame.data, frame.keyframe, frame.reference_seq)


def gradient(height: int = 64, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 3, (x + y)], -1).clip(0, 255).astype(np.uint8)


def test_webp_lossless_gives_the_same_pixels() -> None:
    image = gradient()
    (view,) = open_side_decoder(SideCodec.WEBP_LOSSLESS, 64, 96).decode(SidePacket(0, 77, coded(image)))
    assert view.capture_ns == 77 and np.array_equal(view.image, image) and not view.lossy
    assert view.image.flags.c_contiguous


def test_jpeg_gives_nearly_the_same_pixels() -> None:
    image = gradient()
    (view,) = open_side_decoder(SideCodec.JPEG, 64, 96).decode(SidePacket(0, 0, coded(image, ".jpg")))
    assert np.abs(view.image.astype(int) - image).mean() < 3 and view.lossy


def test_jpeg_orientation_is_ignored() -> None:
    """A camera's EXIF rotation must not swap height and width behind the session's back."""
    data = coded(gradient(), ".jpg")
    # One big-endian TIFF directory with one entry: orientation (0x0112) = 6, a quarter turn.
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01"
    exif += b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06" + bytes(6)
    rotated = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(rotated, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (
        96,
        64,
    )  # it is a real one
    (view,) = open_side_decoder(SideCodec.JPEG, 64, 96).decode(SidePacket(0, 0, rotated))
    assert view.image.shape == (64, 96, 3)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97), (70, 98)])
def test_hevc_gives_each_picture_at_once_and_in_the_announced_size(height: int, width: int) -> None:
    decoder = open_side_decoder(SideCodec.HEVC, height, width)
    for frame in hevc(4, height, width):
        (view,) = decoder.decode(packet(frame))
        assert view.capture_ns == frame.seq * STEP_NS and view.lossy
        assert view.image.shape == (height, width, 3)
        assert abs(float(view.image.mean()) - frame.seq * 20) < 3
    assert decoder.flush() == []


def test_hevc_needs_its_reference_and_recovers_at_a_keyframe() -> None:
    decoder = HevcDecoder(64, 96)
    frames = [packet(f) for f in hevc(4) + hevc(2, start=4)]
    with pytest.raises(CorruptPayload, match="keyframe"):
        decoder.decode(frames[1])  # joined in the middle
    assert len(decoder.decode(frames[0])) == 1
    with pytest.raises(CorruptPayload, match="side frame 2"):
        decoder.decode(frames[2])  # frame 1 was lost
    with pytest.raises(CorruptPayload):
        decoder.decode(frames[3])
    assert len(decoder.decode(frames[4])) == 1
    assert len(decoder.decode(frames[5])) == 1


@pytest.mark.parametrize("codec", [SideCodec.WEBP_LOSSLESS, SideCodec.JPEG])
def test_images_of_another_size_or_kind_are_refused(codec: SideCodec) -> None:
    suffix, other = (".jpg", ".webp") if codec is SideCodec.JPEG else (".webp", ".jpg")
    decoder = open_side_decoder(codec, 64, 96)
    with pytest.raises(FrameSizeError, match="96x64"):
        decoder.decode(SidePacket(0, 0, coded(picture(1, 96, 64), suffix)))
    with pytest.raises(CorruptPayload):
        decoder.decode(SidePacket(0, 0, coded(picture(1), other)))
    with pytest.raises(BitstreamError):
        decoder.decode(SidePacket(0, 0, coded(gradient(), suffix)[:35]))


def test_an_image_bomb_is_refused_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a decoder saw the bomb")

    small = coded(gradient(), ".jpg")
    at = small.index(b"\xff\xc0") + 5
    bomb = small[:at] + (8192).to_bytes(2, "big") * 2 + small[at + 4 :]
    monkeypatch.setattr(sidecodec.cv2, "imdecode", never)
    with pytest.raises(FrameSizeError, match="8192x8192"):
        open_side_decoder(SideCodec.JPEG, 64, 96).decode(SidePacket(0, 0, bomb))


def test_an_hevc_bomb_is_refused_from_its_parameter_set() -> None:
    bomb = hevc(1, 2048, 2048)[0]
    decoder = HevcDecoder(64, 96)
    with pytest.raises(FrameSizeError, match="2048x2048"):
        decoder.decode(packet(bomb))


def test_a_parameter_set_that_grows_in_the_middle_of_a_stream_is_refused_and_the_stream_recovers() -> None:
    decoder = HevcDecoder(64, 96)
    first, second = hevc(2)
    assert len(decoder.decode(packet(first))) == 1
    grown = hevc(1, 2048, 2048)[0]
    for keyframe in (True, False):  # it says so itself; what counts is what is inside
        with pytest.raises(FrameSizeError, match="2048x2048"):
            decoder.decode(SidePacket(1, 0, grown.data, keyframe, None if keyframe else 0))
    hidden = SidePacket(1, 0, second.data + grown.data, False, 0)  # behind a picture of the right size
    with pytest.raises(FrameSizeError, match="2048x2048"):
        decoder.decode(hidden)
    assert len(decoder.decode(packet(second))) == 1  # refused before the decoder saw it: nothing is lost


def test_an_hevc_bomb_that_hides_its_size_is_refused_by_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecodec, "hevc_sizes", lambda _: [])
    bomb = hevc(1, 2048, 2048)[0]
    with pytest.raises(BitstreamError):
        HevcDecoder(64, 96).decode(packet(bomb))


@given(st.sampled_from(list(SideCodec)), st.data())
@settings(max_examples=60)
def test_damaged_bytes_give_views_of_the_size_or_documented_errors(codec: SideCodec, data) -> None:
    whole = {
        SideCodec.WEBP_LOSSLESS: lambda: coded(gradient()),
        SideCodec.JPEG: lambda: coded(gradient(), ".jpg"),
        SideCodec.HEVC: lambda: hevc(1)[0].data,
    }[codec]()
    bad = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    bad = bad[: data.draw(st.integers(1, len(bad)))]
    decoder = open_side_decoder(codec, 64, 96)
    try:
        views = decoder.decode(SidePacket(0, 0, bytes(bad))) + decoder.flush()
    except (BitstreamError, FrameSizeError):
        return
    assert all(view.image.shape == (64, 96, 3) for view in views)
