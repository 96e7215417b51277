"""The rivals get no more bytes than we do, and as much quality as that allows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.demo.compare import WEBP, at_same_bytes, available_codecs, largest_fitting
from common.quality import psnr
from common.synthetic import StereoStreet
from common.types import RgbImage


@pytest.fixture(scope="module")
def street() -> RgbImage:
    return StereoStreet(3, 128, 256).frame(0).main


@pytest.mark.parametrize("budget", [150, 900, 6000])
def test_rival_stays_within_the_budget(street: RgbImage, budget: int) -> None:
    for codec in available_codecs()[0]:
        rival = at_same_bytes(codec, street, budget)
        assert rival.coded_bytes <= budget
        assert rival.image.shape == street.shape and rival.image.dtype == np.uint8


def test_more_bytes_buy_more_quality(street: RgbImage) -> None:
    small, large = (at_same_bytes(WEBP, street, budget) for budget in (400, 8000))
    assert large.scale == 1 and small.scale > 1
    assert psnr(street, large.image) > psnr(street, small.image) + 3


def test_smallest_bytes_are_those_of_quality_zero_at_full_size(street: RgbImage) -> None:
    buffer = io.BytesIO()
    Image.fromarray(street).save(buffer, "WEBP", quality=0, method=6)
    assert at_same_bytes(WEBP, street, 200).smallest_bytes == len(buffer.getvalue())


def test_a_budget_nothing_fits_is_told_by_the_bytes(street: RgbImage) -> None:
    rival = at_same_bytes(WEBP, street, 5)
    assert rival.coded_bytes > 5


def test_search_finds_the_largest_that_fits() -> None:
    assert largest_fitting(lambda quality: b"x" * (10 * quality + 3), 500) == b"x" * 493
    assert largest_fitting(lambda quality: b"x" * (10 * quality + 3), 2) is None
    assert largest_fitting(lambda quality: b"x" * quality, 10_000) == b"x" * 100
