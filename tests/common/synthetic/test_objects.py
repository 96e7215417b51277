from __future__ import annotations

import numpy as np
import pytest

from common.synthetic import objects
from common.synthetic.labels import LIGHT, PERSON, POLE, SIGN, VEGETATION


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("make", "labels", "low_m", "high_m"),
    [
        (lambda: objects.tree(rng(), 0.0), {VEGETATION}, 5, 11.5),
        (lambda: objects.bush(rng()), {VEGETATION}, 0.6, 2.3),
        (lambda: objects.lamp(rng()), {POLE}, 6, 9),
        (lambda: objects.person(rng()), {PERSON}, 1.5, 2),
    ],
)
def test_heights_and_labels(make, labels: set[int], low_m: float, high_m: float) -> None:
    model = make()
    assert low_m < model.mesh.points[..., 1].max() < high_m
    assert set(model.mesh.labels) == labels


def test_signs_stand_on_posts() -> None:
    kinds = set()
    for seed in range(20):
        mesh = objects.sign(rng(seed)).mesh
        assert mesh.labels[0] == POLE and mesh.points[..., 1].min() == pytest.approx(0)
        kinds.add(mesh.labels[1])
    assert kinds == {SIGN, LIGHT}


def test_people_are_mostly_see_through_squares() -> None:
    alpha = objects.person(rng(2)).mesh.textures[0].image[..., 3]
    assert 0.2 < (alpha > 127).mean() < 0.7
    assert alpha[5, 0] == 0 and alpha[60, 32] == 255


def test_fences_have_gaps_and_hedges_have_none_below_the_top() -> None:
    assert 0.2 < (objects.fence_texture(rng()).image[..., 3] == 0).mean() < 0.8
    assert (objects.hedge_texture(rng()).image[20:, :, 3] == 255).all()
