"""Lossy side views for training: every codec damages, the more the lower its setting; sizes stay."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cloud.restoration.degrade import (
    AV1,
    AV1_HALF,
    CLEAN,
    HALF,
    HEVC,
    JPEG,
    SHARES,
    WEBP,
    Coding,
    code,
    draw_coding,
)
from common.synthetic.street import StereoStreet


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return StereoStreet(5, height=64, width=128).frame(0).side


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [(JPEG, 90, 10), (WEBP, 90, 5), (HEVC, 16, 46), (HALF, 16, 46), (AV1, 20, 63), (AV1_HALF, 20, 63)],
)
def test_a_lower_setting_damages_more(picture: np.ndarray, kind: str, good: int, bad: int) -> None:
    if kind not in (JPEG, WEBP):
        pytest.importorskip("av", reason="HEVC and AV1 need PyAV")
    fine, coarse = (code(picture, Coding(kind, value)) for value in (good, bad))
    assert fine.shape == coarse.shape == picture.shape and fine.dtype == coarse.dtype == np.uint8
    assert 0 < error(fine, picture) < error(coarse, picture)


def test_clean_is_the_picture_itself(picture: np.ndarray) -> None:
    assert code(picture, Coding(CLEAN)) is picture


def test_every_coding_is_drawn_within_its_range_and_about_as_often_as_said() -> None:
    rng = random.Random(0)
    drawn = [draw_coding(rng) for _ in range(4000)]
    for kind, share in SHARES.items():
        values = [c.value for c in drawn if c.kind == kind]
        assert len(values) / len(drawn) == pytest.approx(share, abs=0.03)
        if kind in (JPEG, WEBP):
            assert 5 <= min(values) < 10 and 90 < max(values) <= 97
        elif kind in (AV1, AV1_HALF):
            assert 20 <= min(values) < 26 and 64 < max(values) <= 70
        elif kind != CLEAN:
            assert 10 <= min(values) < 14 and 44 < max(values) <= 48
    assert sum(SHARES.values()) == pytest.approx(1)
    assert (str(Coding(JPEG, 50)), str(Coding(CLEAN))) == ("jpeg:50", "clean")
