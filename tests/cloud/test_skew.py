"""Clocks that disagree, told from views that are late."""

from __future__ import annotations

import pytest

from cloud.skew import AGREEING, EVIDENCE, ClockSkew

MS = 1_000_000
STEP = 100 * MS


def fresh() -> ClockSkew:
    return ClockSkew(50 * MS, 2000 * MS)


def run(skew: ClockSkew, difference: int, frames: int = EVIDENCE, start: int = 100) -> list[bool]:
    """Let each main frame come right after the side view of the same moment, by a clock `difference` behind."""
    return [skew.main_arrived(STEP * n, STEP * n - difference) for n in range(start, start + frames)]


@pytest.mark.parametrize("difference", [3_600_000 * MS, -3_600_000 * MS, 2001 * MS, -2001 * MS])
def test_a_constant_difference_is_the_skew(difference: int) -> None:
    skew = fresh()
    assert run(skew, difference) == [False] * (EVIDENCE - 1) + [True]
    assert skew.ns == difference
    assert not any(run(skew, difference, 300, 100 + EVIDENCE)) and skew.ns == difference


def test_some_order_of_arrival_may_differ() -> None:
    skew = fresh()
    late = {n for n in range(EVIDENCE - AGREEING)}
    for n in range(EVIDENCE):
        skew.main_arrived(STEP * n, STEP * n - 5000 * MS - (STEP if n in late else 0))
    assert skew.ns == 5000 * MS


@pytest.mark.parametrize("difference", [0, 40 * MS, 300 * MS, -300 * MS, 2000 * MS])
def test_what_lateness_explains_is_no_skew(difference: int) -> None:
    skew = fresh()
    assert not any(run(skew, difference, 50)) and skew.ns == 0


def test_views_that_are_late_by_more_than_the_limit_are_late() -> None:
    """They were captured while main frames we know of were."""
    skew = fresh()
    for n in range(30):
        skew.main_arrived(STEP * n, None)
    for n in range(30, 80):
        skew.main_arrived(STEP * n, STEP * (n - 30))
    assert skew.ns == 0


def test_differences_without_order_are_no_skew() -> None:
    skew = fresh()
    for n in range(40):
        skew.main_arrived(STEP * n, -STEP * n - 9000 * MS)
    assert skew.ns == 0


def test_a_clock_that_is_set_right_ends_the_skew_and_another_error_begins_another() -> None:
    skew = fresh()
    run(skew, 60_000 * MS)
    run(skew, 0, 2 * EVIDENCE, 200)
    assert skew.ns == 0
    run(skew, -90_000 * MS, 2 * EVIDENCE, 300)
    assert skew.ns == -90_000 * MS


def test_no_side_view_is_no_evidence() -> None:
    skew = fresh()
    assert not any(skew.main_arrived(STEP * n, None) for n in range(50))
