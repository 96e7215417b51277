"""Bjøntegaard differences against cases that can be worked out on paper."""

import math

import pytest

from benchmarks.rd.bd import bd_quality, bd_rate

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def line(slope, offset, rates=RATES):
    return [(r, slope * r + offset) for r in rates]


def test_bd_quality_of_parallel_lines_is_their_distance():
    ours, other = line(30, 22), line(30, 20)
    assert bd_quality(ours, other, higher_is_better=True).value == pytest.approx(2.0)
    assert bd_quality(other, ours, higher_is_better=True).value == pytest.approx(-2.0)


def test_bd_quality_integrates_over_linear_rate():
    # D_ours - D_other = 10 r; its mean over [a, b] is 10 (a + b) / 2.
    ours, other = line(40, 20, (0.02, 0.05, 0.3)), line(30, 20, (0.01, 0.04, 0.1))
    result = bd_quality(ours, other, higher_is_better=True)
    assert (result.low, result.high) == (0.02, 0.1)
    assert result.value == pytest.approx(10 * (0.02 + 0.1) / 2)


def test_positive_means_better_for_metrics_where_less_is_better():
    assert bd_quality(line(-1, 0.3), line(-1, 0.4), higher_is_better=False).value == pytest.approx(0.1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.3])
def test_bd_rate_of_a_scaled_rate_is_the_scale(factor):
    other = [(r, 30 + 5 * math.log(r)) for r in RATES]
    ours = [(factor * r, q) for r, q in other]
    assert bd_rate(ours, other, higher_is_better=True).value == pytest.approx(100 * (factor - 1))
    lower = [(r, -q) for r, q in other], [(r, -q) for r, q in ours]
    assert bd_rate(lower[1], lower[0], higher_is_better=False).value == pytest.approx(100 * (factor - 1))


def test_bd_rate_on_log_lines_with_different_slopes():
    # log rate = q / 5 and q / 4 on the common range q in [0, 10]: mean of (1/5 - 1/4) q is -0.05 * 5.
    ours = [(math.exp(q / 5), q) for q in (0, 2, 5, 10)]
    other = [(math.exp(q / 4), q) for q in (0, 3, 6, 10)]
    assert bd_rate(ours, other, True).value == pytest.approx(100 * (math.exp(-0.25) - 1))


def test_curves_that_do_not_meet_say_so():
    low, high = line(30, 20, (0.01, 0.02)), line(30, 20, (0.1, 0.2))
    quality = bd_quality(low, high, True)
    assert quality.value is None
    assert "0.01..0.02" in quality.why and "0.1..0.2" in quality.why
    rate = bd_rate(line(1, 10), line(1, 30), True)
    assert rate.value is None
    assert "no common quality" in rate.why


def test_one_point_is_not_a_curve():
    assert "too few" in bd_quality([(0.1, 30)], line(1, 30), True).why
    assert "too few" in bd_rate([(0.1, 30)], line(1, 30), True).why
    assert bd_quality([], [], True).value is None


def test_bd_rate_ignores_points_that_cost_more_and_are_not_better():
    other = [(r, 30 + 5 * math.log(r)) for r in RATES]
    ours = [(0.5 * r, q) for r, q in other]
    assert bd_rate([*ours, (0.15, 1.0)], other, True).value == pytest.approx(-50.0)


def test_points_sharing_a_rate_are_averaged_and_order_does_not_matter():
    ours = [(0.1, 31), (0.01, 20), (0.1, 29)]
    assert bd_quality(ours, [(0.01, 20), (0.1, 30)], True).value == pytest.approx(0.0, abs=1e-9)
