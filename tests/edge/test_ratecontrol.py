from __future__ import annotations

import pytest

from edge.ratecontrol import Load, RateController, RateRule

MS = 1_000_000
CLEAR = Load(0, 16, 0.0)
FULL = Load(16, 16, 0.0)
LAGGING = Load(0, 16, 1500.0)
BETWEEN = Load(2, 16, 700.0)


def run(control: RateController, load: Load, begin_ms: int, end_ms: int, step_ms: int = 100) -> int:
    for now in range(begin_ms, end_ms, step_ms):
        control.update(now * MS, load)
    return control.quality


@pytest.mark.parametrize("load", [FULL, LAGGING, Load(4, 16, 0.0)])
def test_congestion_lowers_one_step_each_interval(load: Load) -> None:
    control = RateController(start=6)
    assert control.update(0, load) == 5
    assert control.update(499 * MS, load) == 5
    assert control.update(500 * MS, load) == 4


def test_never_below_the_lowest() -> None:
    assert run(RateController(RateRule(lowest=2)), FULL, 0, 20_000) == 2


def test_clear_time_raises_slowly_up_to_the_highest() -> None:
    control = RateController(start=4)
    assert run(control, CLEAR, 0, 3000) == 4
    assert run(control, CLEAR, 3000, 6000) == 5
    assert run(control, CLEAR, 6000, 60_000) == 7


def test_in_between_nothing_changes_and_clear_time_starts_over() -> None:
    control = RateController(start=4)
    run(control, CLEAR, 0, 2900)
    assert run(control, BETWEEN, 2900, 20_000) == 4
    assert run(control, CLEAR, 20_000, 22_900) == 4
    assert run(control, CLEAR, 22_900, 23_200) == 5


def test_a_single_queued_frame_is_no_congestion_even_in_a_tiny_queue() -> None:
    assert run(RateController(start=4), Load(1, 2, 0.0), 0, 2000) == 4


def test_start_is_kept_within_bounds() -> None:
    assert RateController(start=99).quality == 7
    assert RateController(start=-3).quality == 0
