"""The ceilings on a step of known disparity: the less is known, the worse the warp."""

import cv2
import numpy as np
import pytest

from benchmarks.rd.ceilings import BLOCKS, ERRORS_PX, ceilings, fill
from benchmarks.rd.disparity import Truth


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    side = cv2.resize(rng.integers(0, 255, (16, 32, 3), dtype=np.uint8), (128, 64))
    disparity = np.full((64, 128), 3, np.float32)
    disparity[20:44, 50:90] = 9
    return side, Truth(disparity, np.ones((64, 128), bool), 1.0)


def test_every_ceiling_is_there_and_less_known_is_worse(scene):
    side, truth = scene
    found = {c.name: c for c in ceilings(side, truth)}
    assert len(found) == 1 + len(BLOCKS) + len(ERRORS_PX)
    exact = found["oracle, every pixel"]
    assert np.array_equal(exact.disparity, truth.disparity)
    assert np.array_equal(exact.warped[:10, 20:], side[:10, 17:-3]), "whole pixels move exactly"

    def off(name):
        return np.abs(found[name].disparity - truth.disparity).mean()

    assert 0 < off("oracle, mean of 4x4 blocks") < off("oracle, mean of 8x8 blocks")
    assert off("oracle, mean of 8x8 blocks") < off("oracle, mean of 16x16 blocks")
    for error in ERRORS_PX:
        spread = (found[f"oracle, {error:g} px of smooth error"].disparity - truth.disparity).std()
        assert spread == pytest.approx(error, rel=0.05)


def test_the_same_scene_gives_the_same_ceilings(scene):
    first, second = ceilings(*scene), ceilings(*scene)
    assert all(np.array_equal(a.warped, b.warped) for a, b in zip(first, second, strict=True))


def test_holes_take_the_farther_neighbour_and_empty_rows_the_one_above():
    disparity = np.array([[2, 0, 0, 7], [0, 0, 5, 0], [0, 0, 0, 0]], np.float32)
    known = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    filled = fill(disparity, known)
    assert filled.tolist() == [[2, 2, 2, 7], [5, 5, 5, 5], [5, 5, 5, 5]]
    assert fill(disparity, np.zeros_like(known)).max() == 0
