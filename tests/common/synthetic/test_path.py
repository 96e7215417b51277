"""common.synthetic.path: the style of a seed, and a path without jumps."""

from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.path import EgoPath, choose_style, seed_words
from common.synthetic.scene import Street


def test_a_street_drives_along_the_path_of_its_seed() -> None:
    street, path = Street(11), EgoPath(choose_style(11))
    assert street.style.speed_mps == path.style.speed_mps != choose_style(12).speed_mps
    assert np.array_equal(street.pose(2.5).eye, path.pose(2.5).eye)
    assert street.heading(80.0) == path.heading(80.0) and street.ego_v(3.0) == path.ego_v(3.0)


def test_the_car_moves_forward_without_jumps() -> None:
    path = EgoPath(choose_style(5))
    places = np.stack([path.pose(t / 10).eye for t in range(200)])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert (np.diff(places[:, 2]) > 0).all() and steps.max() < 1.6  # at most 15 m/s at 10 Hz
    assert path.heading(70.0) == pytest.approx(
        float(np.arctan((path.bend(70.01) - path.bend(69.99)) / 0.02)), abs=1e-4
    )


def test_seeds_of_either_sign_differ() -> None:
    assert seed_words(4) != seed_words(-4)
