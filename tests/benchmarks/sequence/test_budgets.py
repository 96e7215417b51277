"""Fronts, readings at a budget, winners and crossings, on numbers that can be worked out by hand."""

import math

import pytest

from benchmarks.sequence.budgets import (
    Operation,
    Reading,
    at_budget,
    best_operation,
    crossings,
    front,
    hull,
    winner,
)


def points(*pairs):
    return [Operation(kbps, quality, f"m{kbps}", "s") for kbps, quality in pairs]


def values(operations):
    return [(o.total_kbps, o.quality) for o in operations]


def test_front_leaves_out_what_costs_more_without_being_better():
    cloud = points((64, 0.4), (32, 0.5), (48, 0.5), (64, 0.3), (100, 0.35), (128, 0.2))
    assert values(front(cloud, higher_is_better=False)) == [(32, 0.5), (64, 0.3), (128, 0.2)]
    assert values(front(cloud, higher_is_better=True)) == [(32, 0.5)]
    assert front([], True) == []


def test_hull_skips_the_stairs():
    stairs = points((32, 0.6), (60, 0.59), (64, 0.45), (128, 0.4), (200, 0.4))
    assert values(hull(stairs, higher_is_better=False)) == [(32, 0.6), (64, 0.45), (128, 0.4)]
    rising = points((32, 20.0), (64, 24.0), (90, 24.1), (128, 26.0))
    assert values(hull(rising, higher_is_better=True)) == [(32, 20.0), (64, 24.0), (128, 26.0)]
    dipped = hull(points((32, 0.6), (64, 0.59), (128, 0.2)), False)
    assert values(dipped) == [(32, 0.6), (128, 0.2)]


def test_readings_are_linear_over_log_rate_and_never_extrapolated():
    line = points((32, 0.5), (128, 0.3))
    middle = at_budget(line, 64)
    assert middle.status == "interpolated" and middle.value == pytest.approx(0.4)
    assert at_budget(line, 128) == Reading(0.3, "measured", 128)
    assert at_budget(line, 256) == Reading(0.3, "held", 128)
    assert at_budget(line, 31) == Reading(None, "not reached", 32)
    with pytest.raises(ValueError, match="without points"):
        at_budget([], 64)


def test_winner_knows_the_sense_and_who_is_not_there():
    low, high, none = (
        Reading(0.2, "measured", 64),
        Reading(0.4, "measured", 64),
        Reading(None, "not reached", 80),
    )
    assert winner(low, high, higher_is_better=False) == "ours"
    assert winner(low, high, higher_is_better=True) == "other"
    assert winner(low, low, True) == "tie"
    assert winner(none, low, True) == "other" and winner(low, none, True) == "ours"
    assert winner(none, none, True) == "neither"


def test_a_crossing_is_found_where_it_is():
    ours, other = points((32, 0.5), (128, 0.4)), points((32, 0.6), (128, 0.3))
    found = crossings(ours, other, higher_is_better=False)
    assert found.kbps == pytest.approx([64.0]) and found.better_at_low == "ours"
    assert (found.low_kbps, found.high_kbps) == (32, 128)
    assert crossings(ours, other, higher_is_better=True).better_at_low == "other"


def test_a_crossing_on_a_measured_point_is_counted_once():
    ours = points((32, 0.5), (64, 0.4), (128, 0.35))
    other = points((32, 0.6), (64, 0.4), (128, 0.2))
    assert crossings(ours, other, False).kbps == pytest.approx([64.0])
    touching = points((32, 0.6), (64, 0.4), (128, 0.36))
    assert list(crossings(ours, touching, False).kbps) == []


def test_no_crossing_says_why():
    ours, other = points((32, 0.5), (128, 0.3)), points((40, 0.6), (200, 0.4))
    none = crossings(ours, other, False)
    assert not none.kbps and none.why == "ours over all of 40..128 kb/s"
    apart = crossings(points((10, 1), (20, 2)), points((30, 1), (40, 2)), True)
    assert apart.low_kbps is None and "no common rates: 10..20 and 30..40" in apart.why


def test_best_operation_is_the_dearest_within_the_budget():
    line = points((32, 0.5), (64, 0.4), (128, 0.3))
    assert best_operation(line, 100).total_kbps == 64
    assert best_operation(line, 8).total_kbps == 32
    assert math.isclose(best_operation(line, 128).quality, 0.3)
