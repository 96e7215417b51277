"""Runs of numbers, against a plain set."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.stream.intervals import Intervals

numbers = st.lists(st.integers(0, 60), max_size=80)


def filled(values: list[int]) -> Intervals:
    made = Intervals()
    for value in values:
        made.add(value)
    return made


@given(numbers)
def test_same_as_a_set(values: list[int]) -> None:
    made, plain = Intervals(), set()
    for value in values:
        joins = {value - 1, value, value + 1} & plain
        assert made.touches(value) == bool(joins)
        assert made.add(value) == (value not in plain)
        plain.add(value)
    assert len(made) == len(plain) and made.highest == max(plain, default=-1)
    assert [n for n in range(62) if n in made] == sorted(plain)
    assert {n for first, last in made for n in range(first, last + 1)} == plain
    runs = list(made)
    assert all(b[0] > a[1] + 1 for a, b in pairwise(runs)) and made.runs == len(runs)


@given(numbers, st.integers(0, 62), st.integers(0, 5))
def test_gaps_and_what_is_above(values: list[int], floor: int, limit: int) -> None:
    made = filled(values)
    missing = made.next_missing(floor)
    assert missing >= floor and missing not in made and set(range(floor, missing)) <= set(values)
    assert made.above(floor, limit) == tuple(run for run in made if run[0] >= floor)[:limit]


def test_a_copy_is_its_own() -> None:
    one = filled([1, 2, 5])
    other = one.copy()
    other.add(3)
    assert 3 not in one and len(other) == 4 and list(one) == [(1, 2), (5, 5)]


def test_a_million_in_order_are_one_run() -> None:
    assert filled(list(range(1_000_000))).runs == 1
