from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.facades import PIXELS_PER_METRE, make_facade


@pytest.mark.parametrize(("floors", "bays", "pitched", "shops"), [(1, 1, True, False), (4, 5, False, True)])
def test_sizes_follow_floors_and_bays(floors: int, bays: int, pitched: bool, shops: bool) -> None:
    facade = make_facade(np.random.default_rng(0), floors, bays, pitched, shops)
    assert 2.4 * bays <= facade.width_m <= 3.4 * bays
    assert 2.7 * floors <= facade.height_m <= 3.2 * floors + 1.4
    height, width = facade.front.image.shape[:2]
    assert height == pytest.approx(facade.height_m * PIXELS_PER_METRE, abs=1)
    assert width == pytest.approx(facade.width_m * PIXELS_PER_METRE, abs=1)
    assert (facade.roof is not None) == pitched


def test_fronts_have_windows_that_walls_lack() -> None:
    facade = make_facade(np.random.default_rng(1), 3, 4, False, False)
    rough = [np.abs(np.diff(t.image.astype(int), axis=1)).mean() for t in (facade.front, facade.gable)]
    assert facade.front.image.std() > 1.3 * facade.gable.image.std()
    assert min(rough) > 0.5


def test_the_same_choices_give_the_same_house() -> None:
    a, b = (make_facade(np.random.default_rng(2), 2, 3, True, False) for _ in range(2))
    assert np.array_equal(a.front.image, b.front.image)
