from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.errors import FrameSizeError, InputError, UsageError
from common.types import SideCodec
from edge import sidecodec
from edge.sidecodec import SideCodecSpec, open_side_encoder, parse_side_codec


def scene(seed: int = 0, height: int = 75, width: int = 131) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def decode_still(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("webp", SideCodecSpec(SideCodec.WEBP_LOSSLESS)),
        ("jpeg", SideCodecSpec(SideCodec.JPEG, 90)),
        ("jpeg:1", SideCodecSpec(SideCodec.JPEG, 1)),
        ("hevc", SideCodecSpec(SideCodec.HEVC, 24)),
        ("hevc:0", SideCodecSpec(SideCodec.HEVC, 0)),
        ("hevc:51", SideCodecSpec(SideCodec.HEVC, 51)),
    ],
)
def test_specs(text: str, spec: SideCodecSpec) -> None:
    assert parse_side_codec(text) == spec
    assert parse_side_codec(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    ["", "png", "webp:80", "webp:", "jpeg:", "jpeg:0", "jpeg:101", "hevc:52", "hevc:x", "jpeg:-3", "jpeg:²"],
)
def test_bad_specs(text: str) -> None:
    with pytest.raises(UsageError, match="side codec"):
        parse_side_codec(text)


@pytest.mark.parametrize("pyav", [True, False])
def test_webp_is_lossless_whoever_makes_it(pyav: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if pyav:
        pytest.importorskip("av", reason="PyAV is not installed (it comes with the edge extra)")
    else:
        monkeypatch.setattr(sidecodec.importlib.util, "find_spec", lambda name: None)
    encoder = open_side_encoder(parse_side_codec("webp"))
    assert isinstance(encoder, sidecodec.WebpSideEncoder if pyav else sidecodec.StillSideEncoder)
    for seed, height in ((1, 75), (2, 75), (3, 80)):
        image = np.random.default_rng(seed).integers(0, 256, (height, 131, 3), dtype=np.uint8)
        coded = encoder.encode(image)
        assert coded.keyframe
        assert coded.data[:4] == b"RIFF" and b"VP8L" in coded.data[:32]
        assert np.array_equal(decode_still(coded.data), image)
    encoder.close()


def test_jpeg_follows_its_quality() -> None:
    image = scene()
    small, large = (open_side_encoder(parse_side_codec(f"jpeg:{q}")).encode(image) for q in (20, 95))
    assert len(small.data) < len(large.data)
    assert np.abs(decode_still(large.data).astype(int) - image).mean() < 3


def test_image_beyond_the_codec_is_our_error() -> None:
    with pytest.raises(InputError, match="cannot be coded"):
        open_side_encoder(parse_side_codec("webp")).encode(np.zeros((1, 20_000, 3), np.uint8))


class TestHevc:
    @pytest.fixture(autouse=True)
    def _needs_pyav(self) -> None:
        pytest.importorskip("av", reason="PyAV is not installed (it comes with the edge extra)")

    def test_one_frame_in_one_picture_out_odd_sizes(self) -> None:
        import av

        encoder = open_side_encoder(parse_side_codec("hevc:18"))
        decoder = av.CodecContext.create("hevc", "r")
        decoder.thread_count = 1
        keyframes = []
        for shift in range(5):
            image = np.roll(scene(), 3 * shift, axis=1)
            coded = encoder.encode(image)
            keyframes.append(coded.keyframe)
            (picture,) = decoder.decode(av.Packet(coded.data))
            back = picture.to_ndarray(format="rgb24")
            assert back.shape[:2] == (76, 132)
            assert np.abs(back[:75, :131].astype(int) - image).mean() < 4
        assert keyframes == [True, False, False, False, False]

    def test_keyframes_on_request_decode_by_themselves(self) -> None:
        import av

        encoder = open_side_encoder(parse_side_codec("hevc"))
        encoder.encode(scene(1))
        encoder.encode(scene(1))
        encoder.request_keyframe()
        coded = encoder.encode(scene(2))
        assert coded.keyframe
        assert not encoder.encode(scene(2)).keyframe
        decoder = av.CodecContext.create("hevc", "r")
        decoder.thread_count = 1
        assert len(decoder.decode(av.Packet(coded.data))) == 1

    def test_size_may_not_change(self) -> None:
        encoder = open_side_encoder(parse_side_codec("hevc"))
        encoder.encode(scene())
        with pytest.raises(FrameSizeError, match="was 75x131"):
            encoder.encode(scene(height=80))
        encoder.close()
