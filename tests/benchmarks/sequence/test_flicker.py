"""Flicker is nought for the source itself, sees flicker that moves with the scene or not, and forgives occlusion."""

import cv2
import numpy as np
import pytest

from benchmarks.sequence.flicker import flicker, motion, summary


def world(height=120, width=240, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 6, width // 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def panned():
    whole = world()
    return np.ascontiguousarray(whole[:, 10:210]), np.ascontiguousarray(whole[:, 14:214])


def test_the_source_has_no_change_error_and_motion_explains_it(panned):
    moved = motion(*panned)
    found = flicker(*panned, moved)
    assert found["change_error"] == 0
    assert found["warp_error"] == found["warp_error_source"]
    assert found["flow_share"] > 0.9
    unmoved = np.abs(panned[1].astype(float) - panned[0]).mean()
    assert found["warp_error"] < unmoved / 8


def test_brightness_that_flickers_is_measured(panned):
    before, now = panned
    brighter = np.clip(now.astype(int) // 2 + 60, 0, 255).astype(np.uint8)
    base = (before.astype(int) // 2 + 50).astype(np.uint8)
    found = flicker(base, brighter, motion(before, now))
    assert found["warp_error"] == pytest.approx(10, abs=1.0)
    assert found["change_error"] == pytest.approx(10, abs=1.5)


def test_noise_of_every_frame_is_flicker_and_noise_that_sticks_to_the_scene_is_not(panned):
    before, now = panned
    grain = np.random.default_rng(1).normal(0, 12, (120, 240, 3))
    soft = cv2.GaussianBlur(grain, (0, 0), 2) * 6

    def rebuilt(image, noise):
        return np.clip(image * 0.6 + 50 + noise, 0, 255).astype(np.uint8)

    moved = motion(before, now)
    sticks = flicker(rebuilt(before, soft[:, 10:210]), rebuilt(now, soft[:, 14:214]), moved)
    jumps = flicker(rebuilt(before, soft[:, 10:210]), rebuilt(now, soft[::-1, 14:214]), moved)
    assert jumps["warp_error"] > 3 * sticks["warp_error"]
    assert jumps["change_error"] > 3 * sticks["change_error"]


def test_what_comes_into_the_picture_is_not_judged(panned):
    before, now = panned
    moved = motion(before, now)
    assert not moved.trusted[:, -3:].any()  # four new columns; the flow may be half a pixel off
    spoilt = now.copy()
    spoilt[:, -3:] = 0
    assert flicker(before, spoilt, moved)["change_error"] == 0


def test_a_scene_cut_is_mostly_not_trusted(panned):
    cut = motion(panned[0], world(seed=9)[:, :200].copy())
    assert cut.trusted.mean() < 0.5 * motion(*panned).trusted.mean()


def test_nothing_trusted_gives_no_number(panned):
    moved = motion(*panned)
    moved.trusted[:] = False
    assert flicker(*panned, moved) is None


def test_summary_gives_excess_and_ratio():
    rows = [{"frame": 0}] + [
        {"warp_error": w, "warp_error_source": 2.0, "change_error": 1.0, "flow_share": 0.5}
        for w in (3.0, 5.0)
    ]
    found = summary(rows)
    assert (found["pairs"], found["excess"], found["ratio"]) == (2, 2.0, 2.0)
    assert summary([{"frame": 0}]) is None
