from __future__ import annotations

import numpy as np
import pytest

from common.synthetic import cars
from common.synthetic.labels import CAR, TRUCK


@pytest.mark.parametrize("seed", range(8))
def test_cars_have_the_size_of_cars_and_look_outwards(seed: int) -> None:
    model = cars.car(np.random.default_rng(seed))
    low, high = model.mesh.points.min(axis=(0, 1)), model.mesh.points.max(axis=(0, 1))
    assert 1.3 < high[1] < 2.1 and low[1] == pytest.approx(0, abs=1e-9)
    assert 3.8 < high[2] - low[2] < 5.2
    assert set(model.mesh.labels) == {CAR}
    # Outer faces point away from the middle of the body (mirrors, seen from both sides, aside).
    centre = np.array((0, 0.55, 0))
    outer = ~model.mesh.both_sides
    outwards = np.einsum("fi,fi->f", model.mesh.points.mean(axis=1) - centre, model.mesh.normals)
    assert (outwards[outer] > 0).all()


def test_a_lorry_is_longer_and_taller() -> None:
    model = cars.lorry(np.random.default_rng(0))
    assert model.height_m > 3 and np.ptp(model.mesh.points[..., 2]) > 6
    assert set(model.mesh.labels) == {TRUCK}


def test_wheels_touch_the_ground_and_the_space_between_is_open() -> None:
    side = cars.car(np.random.default_rng(3)).mesh.textures[0].image
    foot = side[-4, :, 3] > 127
    assert foot.any() and foot.mean() < 0.5
