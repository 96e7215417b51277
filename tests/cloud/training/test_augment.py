"""cloud.training.augment: pasted things are where the disparity says, in both views; grey stays grey."""

import random

import numpy as np
import pytest

from cloud.training.augment import mix_colours, paste

SIZE = (64, 128)


def scene(behind=4.0):
    grey = np.full((*SIZE, 3), 90, np.uint8)
    return grey.copy(), grey.copy(), np.full(SIZE, behind, np.float32)


def donor(seed):
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_a_pasted_thing_is_in_front_and_where_its_disparity_says(seed):
    main, side, disparity = scene()
    paste(main, side, disparity, donor(seed), random.Random(seed))
    thing = disparity != 4.0
    assert thing.any()
    (near,) = np.unique(disparity[thing])
    assert 4.5 <= near <= 0.3 * SIZE[1]
    # Side pixel x - d shows what main pixel x shows, but for what left the picture and the thing's soft edge.
    rows, columns = np.nonzero(thing)
    inside = columns - near >= 1
    if not inside.any():
        return
    at = columns[inside] - near
    left = np.floor(at).astype(int)
    part = (at - left)[:, None]
    found = (1 - part) * side[rows[inside], left] + part * side[
        rows[inside], np.minimum(left + 1, SIZE[1] - 1)
    ]
    blank = np.full(3, 90.0)
    closer = np.abs(found - main[rows[inside], columns[inside]]).mean()
    assert closer < 0.7 * np.abs(blank - main[rows[inside], columns[inside]]).mean()


def test_nothing_but_the_thing_changes():
    main, side, disparity = scene()
    paste(main, side, disparity, donor(1), random.Random(3))
    changed = (main != 90).any(2)
    assert changed.any() and (side != 90).any()
    assert changed[disparity == 4.0].mean() < 0.02  # the soft edge


def test_before_something_very_near_it_is_nearer_still():
    main, side, disparity = scene(behind=60.0)
    paste(main, side, disparity, donor(1), random.Random(3))
    assert disparity.max() == 60.5 and disparity.min() == 60.0


def test_unknown_disparity_behind_is_no_obstacle():
    main, side, _ = scene()
    disparity = np.full(SIZE, -1.0, np.float32)
    paste(main, side, disparity, donor(2), random.Random(4))
    assert disparity.max() > 1.0


def test_the_same_generator_pastes_the_same():
    one, two = scene(), scene()
    for views in (one, two):
        paste(*views, donor(5), random.Random(6))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_grey_stays_grey_and_both_views_change_alike():
    ramp = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], 3, 2).repeat(8, 0)
    first, second = mix_colours([ramp, ramp], random.Random(0), 0.15)
    assert np.array_equal(first, second) and np.ptp(first.astype(int), axis=2).max() <= 1
    coloured = donor(7)
    assert np.abs(mix_colours([coloured], random.Random(1), 0.15)[0].astype(int) - coloured).mean() > 2
    assert np.abs(mix_colours([coloured], random.Random(1), 0.0)[0].astype(int) - coloured).max() <= 1


def test_a_near_thing_may_stand_four_times_as_far_in_front():
    farthest = []
    for near in (False, True):
        found = []
        for seed in range(40):
            main, side, disparity = scene()
            paste(main, side, disparity, donor(seed), random.Random(seed), near)
            found.append(float(disparity.max()) - 4.0)
        farthest.append(max(found))
    assert farthest[0] <= 0.06 * SIZE[1] < 2 * farthest[0] < farthest[1] <= 0.24 * SIZE[1]
