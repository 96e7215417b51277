"""common.illumination: waves of mean square 1 that do not know of each other, and how much of each an image has."""

import itertools
import math

import numpy as np
import pytest

from common.illumination import PLANES, TO_YCBCR, illumination, wave
from common.luma import WEIGHTS, luma

WAVES = [(0, 0, 0), (2, 3, 0), (0, 0, 1), (1, 2, 5), (1, 0, 0), (0, 3, 9), (2, 15, 15), (2, 0, 0)]
SIZES = [(64, 64), (65, 127), (67, 131), (128, 256)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def by_the_specification(image: np.ndarray, plane: int, v: int, u: int) -> float:
    """Return a coefficient as section 5.2 writes it: a sum over all pixels, one by one."""
    height, width = image.shape[:2]
    total = 0.0
    for y, x in itertools.product(range(height), range(width)):
        red, green, blue = (float(value) / 255 for value in image[y, x])
        luminance = 0.299 * red + 0.587 * green + 0.114 * blue
        value = (luminance, (blue - luminance) / 1.772, (red - luminance) / 1.402)[plane]
        down = math.cos(math.pi * v * (2 * y + 1) / (2 * height))
        total += value * down * math.cos(math.pi * u * (2 * x + 1) / (2 * width))
    return (math.sqrt(2) if v else 1) * (math.sqrt(2) if u else 1) * total / (height * width)


@pytest.mark.parametrize("size", [64, 65, 127, 1242])
def test_waves_have_a_mean_square_of_one_and_are_orthogonal(size):
    waves = np.stack([wave(count, size) for count in range(16)])
    assert waves.shape == (16, size) and waves.dtype == np.float64
    np.testing.assert_allclose(waves @ waves.T / size, np.eye(16), atol=1e-12)
    assert (waves[0] == 1).all() and (np.diff(waves[1]) < 0).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", [(0, 0, 0), (77, 77, 77), (255, 255, 255), (200, 30, 90)])
def test_a_flat_image_has_only_its_mean(size, colour):
    image = np.empty((*size, 3), np.uint8)
    image[:] = colour
    found = dict(zip(WAVES, illumination(image, WAVES), strict=True))
    means = TO_YCBCR @ np.array(colour) / 255
    for plane in range(PLANES):
        assert found.pop((plane, 0, 0)) == pytest.approx(means[plane], abs=1e-6)
    np.testing.assert_allclose(list(found.values()), 0, atol=1e-6)
    if len(set(colour)) == 1:
        np.testing.assert_allclose(means, [colour[0] / 255, 0, 0], atol=1e-12)


@pytest.mark.parametrize("size", [(65, 67), (7, 13), (64, 129)])
def test_every_coefficient_is_the_specifications(size):
    image = noise(*size, seed=1)
    want = [by_the_specification(image, *one) for one in WAVES]
    np.testing.assert_allclose(illumination(image, WAVES), want, atol=1e-6)


def test_waves_come_in_the_order_asked_for_and_none_is_none():
    image = noise(64, 96)
    found = illumination(image, WAVES)
    np.testing.assert_array_equal(illumination(image, WAVES[::-1]), found[::-1])
    assert illumination(image, WAVES[3:4]) == pytest.approx(found[3:4], abs=1e-12)
    assert illumination(image, []).shape == (0,) and found.dtype == np.float64


@pytest.mark.parametrize("size", [(64, 64), (65, 127)])
@pytest.mark.parametrize("one", WAVES)
def test_a_change_of_one_coefficient_is_its_square_over_the_plane(size, one):
    plane, v, u = one
    change = 0.06
    planes = np.zeros((*size, 3))
    planes[..., plane] = change * wave(v, size[0])[:, None] * wave(u, size[1])
    assert np.square(planes[..., plane]).mean() == pytest.approx(change**2)
    bright = np.rint(255 * (0.5 + planes @ np.linalg.inv(TO_YCBCR).T))
    assert bright.min() >= 0 and bright.max() <= 255
    grey = np.full((*size, 3), 127.5)
    changed = illumination(bright.astype(np.uint8), WAVES) - [0.5 if w == (0, 0, 0) else 0 for w in WAVES]
    want = [change if w == one else 0 for w in WAVES]
    np.testing.assert_allclose(changed, want, atol=0.5 / 255)
    assert np.square(((bright - grey) / 255) @ TO_YCBCR[plane]).mean() == pytest.approx(change**2, rel=0.06)


def test_luma_is_the_refinements():
    image = noise(65, 70, seed=2)
    assert illumination(image, [(0, 0, 0)])[0] == pytest.approx(float(luma(image).mean()), abs=1e-5)
    assert tuple(TO_YCBCR[0]) == WEIGHTS


def test_colour_differences_reach_as_far_as_they_can():
    np.testing.assert_allclose(TO_YCBCR[1:].sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.maximum(TO_YCBCR, 0).sum(1), [1, 0.5, 0.5], atol=1e-12)


def test_a_large_frame_is_measured_as_well_as_a_small_one():
    image = noise(1024, 2048, seed=3)
    rows = image.astype(np.float64) @ TO_YCBCR[0] / 255
    want = wave(3, 1024) @ rows @ wave(9, 2048) / rows.size
    assert illumination(image, [(0, 3, 9)])[0] == pytest.approx(want, abs=1e-6)
