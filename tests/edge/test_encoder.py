"""edge.encoder: sizes, qualities, padding, errors; with the bundled model."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file

from common.bitstream.packet import Packet
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.entropy.tables import laplace_tables
from common.errors import FrameSizeError, UsageError
from common.illumination import illumination
from common.resampling import Resampling
from edge.encoder import Encoder, check_image, pad


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(Bundle.load(), threads=1)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth seeded picture: noise would not be what the codec is for."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(64, 64), (65, 127), (375, 1242), (64, 4096)])
def test_any_size_becomes_a_valid_packet(encoder, size):
    frame = encoder.encode(picture(*size), 2)
    session = encoder.session(*size)
    assert Packet.parse(frame.packet, session).quality == 2
    view = frame.view
    assert (view.height, view.width, view.quality) == (*size, 2)
    payload = Packet.parse(frame.packet, session).payload
    y_hat, symbols = encoder.codec.decode(
        payload, 2, view.latent_height, view.latent_width, view.waves, view.contexts
    )
    np.testing.assert_array_equal(symbols.y, frame.coded.symbols.y)
    np.testing.assert_array_equal(y_hat, frame.coded.y_hat)
    assert set(frame.ms) == {"preprocess", "transform", "entropy", "total"}


def test_more_quality_is_more_bytes(encoder):
    sizes = [len(encoder.encode(picture(256, 512), quality).packet) for quality in range(8)]
    assert sizes[0] < sizes[3] < sizes[7]


def test_the_same_image_gives_the_same_bytes(encoder):
    image = picture(128, 256)
    again = Encoder(Bundle.load(), threads=2)
    assert encoder.encode(image, 4).packet == again.encode(image, 4).packet


@pytest.mark.parametrize("shape", [(63, 64, 3), (64, 4097, 3), (64, 64), (64, 64, 4), (0, 64, 3)])
def test_wrong_shapes_are_refused_by_name(encoder, shape):
    with pytest.raises(FrameSizeError, match=str(shape[0])):
        encoder.encode(np.zeros(shape, np.uint8), 0)


def test_wrong_type_and_quality_are_refused(encoder):
    with pytest.raises(FrameSizeError, match="float32"):
        check_image(np.zeros((64, 64, 3), np.float32))
    with pytest.raises(UsageError, match="8"):
        encoder.encode(picture(64, 64), 8)


def test_padding_repeats_the_border():
    image = picture(65, 70)
    padded = pad(image, 64)
    assert padded.shape == (128, 128, 3)
    np.testing.assert_array_equal(padded[:65, :70], image)
    np.testing.assert_array_equal(padded[100, 100], image[-1, -1])


@pytest.mark.parametrize(("size", "scale"), [((128, 256), 2), ((130, 257), 2), ((256, 320), 1)])
def test_small_frames_are_coded_at_double_size_from_some_quality_on(encoder, size, scale):
    image = picture(*size)
    frame = encoder.encode(image, 5)
    assert (frame.height, frame.width) == size
    assert (frame.view.height, frame.view.width) == (size[0] * scale, size[1] * scale)
    assert frame.coded.y_hat.shape[1:] == (frame.view.latent_height, frame.view.latent_width)
    assert encoder.latents(image, 5)[0].shape == frame.coded.y_hat.shape
    assert frame.bpp == len(frame.packet) * 8 / (size[0] * size[1])


def test_large_frames_are_coded_at_half_size_at_the_lowest_qualities(encoder):
    image = picture(375, 1242)
    coded = [encoder.encode(image, quality) for quality in (0, 1, 2)]
    assert [(frame.view.height, frame.view.width) for frame in coded] == [(188, 621), (188, 621), (375, 1242)]
    assert len(coded[0].packet) < min(len(frame.packet) for frame in coded[1:])


def test_refined_qualities_carry_the_latents_of_another_and_more(encoder):
    refined = [quality for quality in range(8) if encoder.codec.is_refined(quality)]
    assert refined, "the shipped bundle has refinements"
    image = picture(256, 512)
    for quality in refined:
        frame = encoder.encode(image, quality)
        y, z = encoder.latents(image, quality)
        alike = [
            q for q in range(8) if encoder.codec.latent_quality(q) == encoder.codec.latent_quality(quality)
        ]
        assert min(alike) <= quality
        for other in alike:
            np.testing.assert_array_equal(y, encoder.latents(image, other)[0])
        assert frame.coded.symbols.refinement is not None
        assert frame.coded.symbols.refinement.levels.shape == (16, 32, 16, 16)
        with pytest.raises(ValueError, match="coefficients"):
            encoder.codec.encode(y, z, quality)


WAVES = [(0, 0, 0), (2, 0, 0), (0, 1, 3)]


def tables(count: list[int] | None) -> LatentCodec:
    """Return the bundle's codec with an illumination of its own, or with none."""
    arrays = load_file(Bundle.load().file("entropy.safetensors"))
    arrays = {name: value for name, value in arrays.items() if not name.startswith("light_")}
    if count is not None:
        arrays["light_wave"] = np.array(WAVES, np.int32)
        arrays["light_step"], arrays["light_mean"] = np.array([[41] * 3, [1600, 0, 0]], np.int32)
        arrays["light_count"] = np.array(count, np.int32)
        arrays["light_cdf"] = laplace_tables(np.array([8.0, 2, 2]), 31)
    return LatentCodec(arrays)


@pytest.mark.parametrize("size", [(65, 127), (128, 256), (375, 1242)])
def test_the_waves_sent_are_those_of_the_frame_at_its_own_size(size):
    bundle = Bundle.load()
    sizes = [
        {key: value for key, value in table.items() if key != "contexts"}
        for table in bundle.manifest["resampling"]
    ]
    bundle = dataclasses.replace(bundle, resampling=Resampling(sizes))  # these tables have no contexts
    encoder, image = Encoder(bundle, threads=1), picture(*size)
    encoder.codec = tables([0, 1, 3, 3, 3, 3, 3, 3])
    true = illumination(image, WAVES)
    np.testing.assert_array_equal(encoder.light(image), true)
    for quality in (1, 2):
        frame = encoder.encode(image, quality)
        told = frame.coded.symbols.illumination
        assert told.waves == WAVES[: encoder.codec.illumination.count(frame.view.quality, frame.view.waves)]
        here = true[: len(told.waves)]
        assert (told.low <= here).all() and (here <= told.high).all()
        payload = Packet.parse(frame.packet, encoder.session(*size)).payload
        _, symbols = encoder.codec.decode(
            payload,
            frame.view.quality,
            frame.view.latent_height,
            frame.view.latent_width,
            frame.view.waves,
        )
        np.testing.assert_array_equal(symbols.illumination.levels, told.levels)


def test_without_an_illumination_nothing_is_measured_and_nothing_is_sent():
    bundle = dataclasses.replace(Bundle.load(), resampling=Resampling())  # whose tables say nothing of waves
    encoder, image = Encoder(bundle, threads=1), picture(128, 256)
    encoder.codec = tables(None)
    assert encoder.light(image) is None
    plain = encoder.encode(image, 3)
    assert plain.coded.symbols.illumination is None
    encoder.codec = tables([0] * 8)
    assert encoder.encode(image, 3).packet == plain.packet, "no waves are no bytes"
    encoder.codec = tables([3] * 8)
    lit = encoder.encode(image, 3)
    assert 1 <= len(lit.packet) - len(plain.packet) <= 5
    np.testing.assert_array_equal(lit.coded.y_hat, plain.coded.y_hat)
