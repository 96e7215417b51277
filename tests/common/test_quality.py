"""PSNR and MS-SSIM against values worked out by hand or by an independent, slow formula."""

import math

import numpy as np
import pytest

from common.errors import FrameSizeError, InputError
from common.quality import LEVEL_WEIGHTS, ms_ssim, ms_ssim_db, psnr


@pytest.fixture
def picture():
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (16, 20, 3)).astype(np.float64)
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)  # (128, 160, 3)


def test_psnr_of_a_constant_offset_is_the_closed_form(picture):
    dark = np.minimum(picture, 240).astype(np.uint8)
    assert psnr(dark, dark + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5), abs=1e-4)


def test_identical_pictures_hit_the_caps(picture):
    assert psnr(picture, picture) == 100.0
    assert ms_ssim(picture, picture) == pytest.approx(1.0, abs=1e-12)
    assert ms_ssim_db(1.0) == pytest.approx(60.0)
    assert ms_ssim_db(0.9) == pytest.approx(10.0)


def test_uint8_arithmetic_does_not_wrap():
    black, white = np.zeros((112, 112, 3), np.uint8), np.full((112, 112, 3), 255, np.uint8)
    assert psnr(black, white) == pytest.approx(0.0)
    assert psnr(white, black) == pytest.approx(0.0)


def test_ms_ssim_of_two_flat_greys_is_the_luminance_term_alone():
    a, b = np.full((112, 128, 3), 100, np.uint8), np.full((112, 128, 3), 130, np.uint8)
    c1 = (0.01 * 255) ** 2
    luminance = (2 * 100 * 130 + c1) / (100**2 + 130**2 + c1)
    assert ms_ssim(a, b) == pytest.approx(luminance ** LEVEL_WEIGHTS[-1], abs=1e-6)


def _slow_ms_ssim(a, b, window=7):
    """The definition with explicit window sums, nothing shared with the module."""
    k = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * 1.5**2))
    k2 = np.outer(k, k) / np.outer(k, k).sum()
    a, b, value = a.astype(float), b.astype(float), 1.0

    def blur(x):
        view = np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(0, 1))
        return np.einsum("ijcuv,uv->ijc", view, k2)

    for level in range(5):
        ma, mb = blur(a), blur(b)
        va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        term = (2 * cov + 58.5225) / (va + vb + 58.5225)
        if level == 4:
            term = term * (2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025)
        value *= max(0.0, term.mean()) ** LEVEL_WEIGHTS[level]
        h, w = a.shape[0] // 2, a.shape[1] // 2
        a, b = (x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean((1, 3)) for x in (a, b))
    return value


@pytest.mark.parametrize("shape", [(128, 160), (121, 135)])
def test_ms_ssim_agrees_with_the_definition(picture, shape):
    a = picture[: shape[0], : shape[1]]
    noisy = np.clip(a + np.random.default_rng(0).normal(0, 25, a.shape), 0, 255).astype(np.uint8)
    assert ms_ssim(a, noisy) == pytest.approx(_slow_ms_ssim(a, noisy), abs=1e-9)
    assert 0.3 < ms_ssim(a, noisy) < 0.999


def test_more_noise_is_worse(picture):
    noise = np.random.default_rng(0).normal(0, 1, picture.shape)
    ladder = [np.clip(picture + s * noise, 0, 255).astype(np.uint8) for s in (2, 8, 30)]
    values = [ms_ssim(picture, x) for x in ladder]
    assert values == sorted(values, reverse=True)


def test_bad_shapes_are_named():
    a = np.zeros((112, 112, 3), np.uint8)
    with pytest.raises(InputError, match=r"112, 112, 3.*112, 113, 3"):
        psnr(a, np.zeros((112, 113, 3), np.uint8))
    with pytest.raises(FrameSizeError, match="64x112"):
        ms_ssim(a[:64], a[:64])
