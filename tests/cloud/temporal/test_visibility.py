"""What the side camera can see, against a picture drawn pixel by pixel."""

from __future__ import annotations

import numpy as np

from cloud.temporal.visibility import hidden_places, visible


def test_the_left_border_is_out_of_its_picture() -> None:
    seen = visible(np.full((4, 40), 7.0, np.float32))
    assert not seen[:, :6].any() and seen[:, 7:].all()


def test_the_left_of_a_near_thing_is_behind_it() -> None:
    disparity = np.full((4, 60), 2.0, np.float32)
    disparity[:, 30:40] = 10.0
    seen = visible(disparity)
    assert not seen[:, 24:30].any()  # eight columns of background hide, less the slack
    assert seen[:, 30:40].all() and seen[:, 41:].all() and seen[:, 3:22].all()


def test_against_a_depth_buffer() -> None:
    rng = np.random.default_rng(0)
    disparity = rng.integers(1, 12, (30, 1, 16)).repeat(5, axis=2).reshape(30, 80).astype(np.float32)
    columns = np.arange(80)
    for row, answer in zip(disparity, visible(disparity), strict=True):
        landing = columns - row
        for x in columns:
            covered = any(landing[other] < landing[x] - 1 for other in range(x + 1, 80))
            assert answer[x] == (landing[x] >= 0 and not covered)


def test_hidden_places_have_a_size() -> None:
    disparity = np.full((64, 120), 6.0, np.float32)
    disparity[20:50, 60:80] = 14.0
    disparity[10, 100] = 30.0  # a match gone wrong: hides a few pixels of one row
    assert (~visible(disparity))[10, 70:100].any()
    hidden = hidden_places(disparity)
    assert hidden[:, :5].all() and hidden[22:48, 54:59].all()
    assert not hidden[10, 10:].any() and not hidden[:, 82:].any()
