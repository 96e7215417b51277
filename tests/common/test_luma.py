"""common.luma: the transform is orthonormal, frequencies are where they belong, luma is BT.601's."""

import cv2
import numpy as np
import pytest

from common.luma import BLOCK, basis, coefficients, luma


def test_the_basis_is_orthonormal():
    waves = basis().astype(np.float64)
    np.testing.assert_allclose(waves @ waves.T, np.eye(BLOCK), atol=1e-6)


def test_it_is_the_dct_that_opencv_knows():
    plane = np.random.default_rng(0).random((32, 48)).astype(np.float32)
    got = coefficients(plane)
    assert got.shape == (2, 3, 16, 16) and got.dtype == np.float32
    np.testing.assert_allclose(got[1, 2], cv2.dct(plane[16:, 32:]), atol=1e-5)


def test_the_first_index_is_the_vertical_frequency():
    stripes = np.repeat(np.tile([0.0, 1.0], 8)[:, None], 16, axis=1).astype(
        np.float32
    )  # change from row to row
    found = np.abs(coefficients(stripes)[0, 0])
    assert found[:, 1:].max() < 1e-5 < found[15, 0]


@pytest.mark.parametrize(
    ("colour", "value"), [((255, 255, 255), 1.0), ((255, 0, 0), 0.299), ((0, 0, 255), 0.114)]
)
def test_luma_of_plain_colours(colour, value):
    plane = luma(np.full((16, 32, 3), colour, np.uint8))
    assert plane.shape == (16, 32)
    np.testing.assert_allclose(plane, value, atol=1e-6)
    np.testing.assert_allclose(coefficients(plane)[0, 1, 0, 0], 16 * value, atol=1e-4)
