"""Disparity averaged over time."""

from __future__ import annotations

import numpy as np
from fake_drive import HEIGHT, WIDTH, disparity, view

from cloud.temporal.steady import side_at, smooth_part, steady

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
