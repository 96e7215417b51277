from __future__ import annotations

from common.stream.backoff import Backoff


def test_waits_double_up_to_a_bound_and_start_over() -> None:
    backoff = Backoff()
    waits = [backoff.next_s(1.0) for _ in range(8)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    backoff.reset()
    assert backoff.next_s(1.0) == 0.2


def test_chance_scatters_over_half_of_a_wait() -> None:
    low, high = Backoff(first_s=1.0), Backoff(first_s=1.0)
    assert [low.next_s(0.0) for _ in range(3)] == [0.5, 1.0, 2.0]
    assert [high.next_s(0.5) for _ in range(3)] == [0.75, 1.5, 3.0]


def test_refusals_wait_long_at_once() -> None:
    backoff = Backoff()
    assert (backoff.slow_s(0.0), backoff.slow_s(1.0)) == (5.0, 10.0)
    assert backoff.next_s(1.0) == 0.2
