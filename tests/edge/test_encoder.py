"""edge.encoder: sizes, qualities, padding, errors; with the bundled model."""

import numpy as np
import pytest

from common.bitstream.packet import Packet
from common.bundle import Bundle
from common.errors import FrameSizeError, UsageError
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
    assert (frame.view.height, frame.view.width, frame.view.quality) == (*size, 2)
    y_hat, symbols = encoder.codec.decode(
        Packet.parse(frame.packet, session).payload, 2, frame.view.latent_height, frame.view.latent_width
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


def test_large_frames_are_coded_at_half_size_at_the_lowest_quality(encoder):
    image = picture(375, 1242)
    low, next_one = encoder.encode(image, 0), encoder.encode(image, 1)
    assert (low.view.height, low.view.width) == (188, 621)
    assert (next_one.view.height, next_one.view.width) == (375, 1242)
    assert len(low.packet) < len(next_one.packet)


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
