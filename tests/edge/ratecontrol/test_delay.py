from __future__ import annotations

import pytest

from edge.ratecontrol.delay import DelayMeter
from edge.ratecontrol.signals import Feedback

MS = 1_000_000


def feed(meter: DelayMeter, at_ms: int, took_ms: int) -> float:
    return meter.add(Feedback((at_ms - took_ms) * MS, at_ms * MS, 500))


def test_queueing_is_what_exceeds_the_minimum() -> None:
    meter = DelayMeter()
    assert meter.base_ms is None
    assert meter.latest_ms == 0
    assert [feed(meter, at, took) for at, took in ((100, 50), (200, 80), (300, 40), (400, 90))] == [
        0,
        30,
        0,
        50,
    ]
    assert meter.base_ms == 40
    assert meter.latest_ms == 50


def test_the_minimum_is_of_the_last_30_seconds() -> None:
    meter = DelayMeter()
    feed(meter, 100, 20)
    for at in range(1000, 31_000, 1000):
        feed(meter, at, 60)
    assert feed(meter, 30_100, 60) == 40
    assert feed(meter, 30_200, 60) == 0  # a longer way has taken the place of the first


def test_slope_of_a_queue_that_grows_steadily() -> None:
    meter = DelayMeter()
    for step in range(11):
        feed(meter, 100 * step, 50 + 20 * step)
    assert meter.slope_ms_s(1000 * MS) == pytest.approx(200)


def test_no_slope_from_few_acks_or_from_one_moment() -> None:
    meter = DelayMeter()
    for at in (0, 100, 200):
        feed(meter, at, 50 + at)
    assert meter.slope_ms_s(200 * MS) == 0
    burst = DelayMeter()
    for took in (400, 300, 200, 100, 50):
        feed(burst, 1000, took)
    assert burst.slope_ms_s(1000 * MS) == 0


def test_old_acks_tell_no_slope() -> None:
    meter = DelayMeter()
    for step in range(11):
        feed(meter, 100 * step, 50 + 20 * step)
    assert meter.slope_ms_s(3000 * MS) == 0


def test_forget() -> None:
    meter = DelayMeter()
    feed(meter, 100, 20)
    meter.forget()
    assert meter.base_ms is None
    assert feed(meter, 200, 700) == 0
