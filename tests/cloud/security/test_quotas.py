"""Token buckets hold any stream to its rate, whatever the pattern; time comes in as a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.security.quotas import BURST_S, Excess, Meters, Quota, TokenBucket, VehicleMeter


def test_a_bucket_lends_one_draw_and_is_paid_by_time() -> None:
    bucket = TokenBucket(10.0, 20.0, 100.0)
    assert bucket.take(20, 100.0) == 0
    assert bucket.take(5, 100.0) == pytest.approx(0.5)
    assert bucket.take(0, 100.2) == pytest.approx(0.3)
    assert bucket.take(0, 100.5) == 0
    assert not bucket.full(102.4) and bucket.full(102.6)


def test_a_draw_larger_than_the_bucket_passes_when_it_is_full() -> None:
    bucket = TokenBucket(1.0, 2.0, 0.0)
    assert bucket.take(10, 0.0) == pytest.approx(8)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 50)), max_size=60), st.floats(1, 100), st.floats(1, 100)
)
def test_what_passes_without_debt_never_exceeds_rate_and_burst(draws, rate: float, capacity: float) -> None:
    bucket, now, passed = TokenBucket(rate, capacity, 0.0), 0.0, 0.0
    for step, amount in draws:
        now += step
        if bucket.take(amount, now) == 0:
            passed += amount
        assert passed <= capacity + rate * now + 1e-6


@given(st.lists(st.floats(-1000, 1000), max_size=20))
def test_a_clock_that_goes_back_neither_fills_nor_empties(times) -> None:
    bucket = TokenBucket(1.0, 10.0, 0.0)
    bucket.take(10, 0.0)
    for now in times:
        bucket.take(0, now)
    assert bucket.take(0, max([0.0, *times])) == 0
    assert bucket._level <= min(10.0, max([0.0, *times])) + 1e-9


def test_a_meter_names_what_was_exceeded() -> None:
    meter = VehicleMeter(Quota(streams=1, bytes_per_s=1000, frames_per_s=10), 0.0)
    assert meter.open() is None and meter.open() == Excess("1 streams at a time", 0.0)
    assert all(meter.take(1, 0.0) is None for _ in range(int(10 * BURST_S)))
    excess = meter.take(1, 0.0)
    assert excess is not None and excess.what == "10 frames a second"
    assert excess.wait_s == pytest.approx(0.1)
    excess = meter.take(5000, 10.0)
    assert excess is not None and excess.what == "1000 bytes a second"
    assert excess.wait_s == pytest.approx(3.0)


def test_coming_back_does_not_fill_the_buckets_and_idle_meters_are_forgotten() -> None:
    meters, quota = Meters(), Quota(frames_per_s=1)
    meter = meters.of("car-1", quota, 0.0)
    for _ in range(3):
        meter.take(1, 0.0)
    assert meters.of("car-1", quota, 0.0).take(1, 0.0) is not None
    for number in range(1000):
        meters.of(f"other-{number}", quota, 0.0)
    assert meters.of("car-1", quota, 0.1) is meter and len(meters) <= 3  # full ones were swept away
    assert (
        meters.of("car-1", Quota(frames_per_s=100), 0.1).take(1, 0.1) is None
    )  # another quota holds at once


def test_a_meter_with_open_streams_is_kept() -> None:
    meters, quota = Meters(), Quota()
    meter = meters.of("car-1", quota, 0.0)
    assert meter.open() is None
    meters.sweep(1e9)
    assert len(meters) == 1
    meter.close()
    meters.sweep(1e9)
    assert len(meters) == 0


def test_quotas_are_read_and_inherit() -> None:
    base = Quota.parse({"frames_per_s": 7.5})
    assert base == Quota(frames_per_s=7.5)
    assert Quota.parse({"streams": 3}, base) == Quota(streams=3, frames_per_s=7.5)


@pytest.mark.parametrize(
    "table",
    [{"frames": 3}, {"streams": 0}, {"streams": 2.5}, {"streams": True}, {"bytes_per_s": -1}, {"bytes_per_s": "x"},
     {"bytes_per_s": float("nan")}],
)  # fmt: skip
def test_bad_quotas_say_which(table) -> None:
    with pytest.raises(ValueError, match=next(iter(table))):
        Quota.parse(table)
