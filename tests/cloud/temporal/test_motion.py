"""Dense flow both ways, and following it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fake_drive import HEIGHT, PACE, WIDTH, disparity, view

from cloud.temporal.motion import estimate, follow, follow_picture, inside


def test_flow_of_a_known_motion() -> None:
    back, forth = estimate(view(PACE), view(0))
    inner = (slice(8, -8), slice(24, -24))
    expected = PACE * disparity()
    assert np.abs(back.flow[..., 0] - expected)[inner].mean() < 0.2
    assert np.abs(forth.flow[..., 0] + expected)[inner].mean() < 0.2
    assert back.trust[inner].mean() > 0.9 and back.trust.min() >= 0 and back.trust.max() <= 1


def test_what_left_the_picture_is_not_trusted() -> None:
    back, forth = estimate(view(2 * PACE), view(0))
    # On its way back everything moves to the right, and the right edge comes from outside.
    assert not back.trust[~inside(back.flow)].any()
    assert back.trust[40:, -5:].mean() < 0.1 < 0.8 < back.trust[40:, 40:-40].mean()
    assert forth.trust[40:, :5].mean() < 0.1


def test_unrelated_pictures_are_not_trusted() -> None:
    back, _ = estimate(view(0, seed=1), view(0, seed=2))
    assert back.trust.mean() < 0.4


@pytest.mark.parametrize("threads", [1, 4])
def test_same_flow_with_any_number_of_threads(threads: int) -> None:
    before = cv2.getNumThreads()
    wanted = estimate(view(PACE), view(0))
    try:
        cv2.setNumThreads(threads)
        found = estimate(view(PACE), view(0))
    finally:
        cv2.setNumThreads(before)
    for one, other in zip(wanted, found, strict=True):
        assert np.array_equal(one.flow, other.flow) and np.array_equal(one.trust, other.trust)


def test_following_whole_pixels_is_exact() -> None:
    values = np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    flow = np.tile(np.float32([3, -2]), (HEIGHT, WIDTH, 1))
    moved = follow(values, flow)
    assert np.array_equal(moved[2:, :-3], values[:-2, 3:])
    assert np.array_equal(follow_picture(view(0), flow)[2:, :-3], view(0)[:-2, 3:])


def test_moved_again_and_again_nothing_overshoots() -> None:
    picture = np.where(np.arange(64) < 32, 40, 200)[None, :, None] * np.ones((64, 1, 3))
    picture = picture.astype(np.uint8)
    flow = np.full((64, 64, 2), 0.5, np.float32)
    for sign in (1, -1) * 10:
        moved = follow_picture(picture, sign * flow)
        assert moved.min() >= 40 and moved.max() <= 200
        picture = np.rint(moved).astype(np.uint8)
