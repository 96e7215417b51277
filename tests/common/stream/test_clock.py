from __future__ import annotations

import random

import pytest

from common.stream.clock import ClockEstimator, ClockSample

MS = 1_000_000
S = 1_000_000_000


def trip(clock: ClockEstimator, at_ns: int, ahead_ns: int, up_ns: int, held_ns: int, down_ns: int) -> None:
    received = at_ns + up_ns + ahead_ns
    clock.add(at_ns, received, received + held_ns, at_ns + up_ns + held_ns + down_ns)


def test_equal_ways_give_the_offset_exactly() -> None:
    clock = ClockEstimator()
    trip(clock, 5 * S, ahead_ns=-7 * S, up_ns=10 * MS, held_ns=3 * MS, down_ns=10 * MS)
    assert clock.best(6 * S) == ClockSample(-7 * S, 20 * MS)


def test_error_is_at_most_half_the_round_trip_and_queues_are_filtered_out() -> None:
    chance = random.Random(1)
    clock, ahead = ClockEstimator(), 123_456_789_012
    for second in range(50):
        queue = chance.choice((0, 30, 200)) * MS
        trip(clock, second * S, ahead, 5 * MS + queue, MS, 5 * MS + chance.randrange(3) * MS)
        best = clock.best(second * S + S // 2)
        assert abs(best.offset_ns - ahead) <= best.rtt_ns // 2
    assert best.offset_ns == ahead and best.rtt_ns == 10 * MS


def test_old_samples_are_not_believed() -> None:
    clock = ClockEstimator(window_s=10)
    trip(clock, 0, 100 * MS, MS, 0, MS)
    trip(clock, 9 * S, 200 * MS, 20 * MS, 0, 20 * MS)
    assert clock.best(9 * S).offset_ns == 100 * MS
    assert clock.best(12 * S).offset_ns == 200 * MS
    assert clock.best(30 * S) is None


@pytest.mark.parametrize(("received", "sent", "now"), [(50, 40, 100), (0, 200, 100), (0, 0, -1)])
def test_times_that_cannot_be_true_are_left_out(received: int, sent: int, now: int) -> None:
    clock = ClockEstimator()
    assert clock.add(0, received, sent, now) is None
    assert clock.best(now) is None


def test_memory_is_bounded() -> None:
    clock = ClockEstimator(window_s=1e6)
    for second in range(10_000):  # ever longer trips: none drives another out
        trip(clock, second * S, 0, second * 1000, 0, 0)
    assert len(clock._samples) <= 128
    assert clock.best(10_000 * S).rtt_ns == 0
