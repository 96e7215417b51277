"""Disparity averaged over time."""

from __future__ import annotations

import numpy as np
from fake_drive import HEIGHT, WIDTH, disparity, view

from cloud.temporal.steady import approach, side_at, smooth_part, steady

FULL = np.full((HEIGHT, WIDTH), 0.5, np.float32)


def test_noise_is_halved_in_power() -> None:
    rng = np.random.default_rng(0)
    now, then = (disparity() + rng.normal(0, 0.3, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(2))
    made, weight = steady(now, then, FULL)
    power = np.var(made - disparity()) / np.var(now - disparity())
    assert 0.45 < power < 0.65 and weight.mean() > 0.4


def test_coming_nearer_is_not_held_back() -> None:
    made, _ = steady(disparity() * 1.1, disparity(), FULL)
    assert np.abs(made - disparity() * 1.1).max() < 0.25  # at the rim, where smoothing lacks neighbours


def test_the_approach_is_found_under_noise_and_not_held_back() -> None:
    rng = np.random.default_rng(1)
    depth = np.linspace(2, 24, WIDTH, dtype=np.float32)[None] + np.zeros((HEIGHT, 1), np.float32)
    now = depth / (1 - 0.004 * depth)  # fB / (Z - T)
    noise = rng.normal(0, 0.2, depth.shape).astype(np.float32)
    assert abs(approach(now + noise, depth, FULL) / 0.0043 - 1) < 0.05
    made, weight = steady(now, depth, FULL)
    assert weight.mean() > 0.4, "the frame before is believed"
    assert np.abs(made - now).max() < 0.1, "of 2.5 pixels that the nearest things gained"
    assert approach(now, depth, 0 * FULL) == 0


def test_a_part_of_what_is_slow_is_noise() -> None:
    """A wall that stands a pixel off as a whole comes back by the weight's 0.5 times 0.3."""
    now = np.full((HEIGHT, WIDTH), 10, np.float32)
    off = now.copy()
    off[20:80, 40:120] += 1
    made, _ = steady(off, now, FULL)
    assert 0.8 < made[45:55, 70:90].mean() - 10 < 0.9
    assert np.abs(made - now)[:, :20].max() < 0.05


def test_another_thing_is_not_mixed_in() -> None:
    then = disparity().copy()
    then[40:60, 60:90] += 20
    made, weight = steady(disparity(), then, FULL)
    assert weight[42:58, 62:88].max() < 1e-3
    assert np.abs(made - disparity())[42:58, 62:88].max() < 0.01


def test_no_weight_no_change() -> None:
    made, weight = steady(disparity(), disparity() + 1, np.zeros_like(FULL))
    assert np.array_equal(made, disparity()) and not weight.any()


def test_the_side_view_is_fetched_where_the_disparity_says() -> None:
    side = view(1)
    assert np.abs(side_at(side, disparity())[:, 20:] - view(0)[:, 20:].astype(np.float32)).mean() < 4
    assert np.array_equal(side_at(side, np.zeros_like(FULL)), side)


def test_the_smooth_part_is_the_slow_one() -> None:
    ramp = np.repeat(np.linspace(-10, 10, WIDTH, dtype=np.float32)[None], HEIGHT, axis=0)
    checks = (np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2 * 2 - 1).astype(np.float32) * 5
    found = smooth_part(ramp + checks, np.ones_like(ramp))
    assert np.abs(found - ramp)[:, 12:-12].max() < 0.6
    colour = smooth_part(np.dstack([ramp, checks, ramp * 0]), np.ones_like(ramp))
    assert colour.shape == (HEIGHT, WIDTH, 3) and np.abs(colour[..., 1]).max() < 0.5
    assert not smooth_part(ramp, np.zeros_like(ramp)).any()  # nothing trusted, nothing said
