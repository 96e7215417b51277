from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.link.capacity import SteppedCapacity, TraceCapacity

MS, S = 1_000_000, 1_000_000_000


def test_constant_rate() -> None:
    link = SteppedCapacity([(1.0, 8000.0)])  # 1000 bytes a second
    assert link.finish(0, 500) == pytest.approx(0.5 * S)
    assert link.finish(2 * S, 2500) == pytest.approx(4.5 * S)
    assert link.bytes_between(S // 2, 3 * S) == pytest.approx(2500)


def test_bytes_wait_out_a_standstill() -> None:
    link = SteppedCapacity([(1.0, 8000.0), (2.0, 0.0)])
    assert link.finish(0, 1500) == pytest.approx(3.5 * S)
    assert link.finish(round(1.5 * S), 10) == pytest.approx(3.01 * S)
    assert link.bytes_between(0, 9 * S) == pytest.approx(3000)


def test_many_rounds_at_once() -> None:
    link = SteppedCapacity([(0.5, 8000.0), (0.5, 0.0)])
    assert link.finish(0, 100_250) == pytest.approx(200.25 * S, rel=1e-6)


@pytest.mark.parametrize("steps", [[], [(1.0, 0.0)], [(0.0, 5.0)]])
def test_a_link_that_never_carries_anything_is_refused(steps: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="never"):
        SteppedCapacity(steps)


@given(
    st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 1e6)), min_size=1, max_size=6),
    st.integers(0, 20 * S),
    st.integers(1, 100_000),
)
def test_finish_and_bytes_between_agree(steps: list[tuple[float, float]], start: int, size: int) -> None:
    steps.append((1.0, 10_000.0))
    link = SteppedCapacity(steps)
    end = link.finish(start, size)
    assert end >= start
    assert link.bytes_between(start, end) == pytest.approx(size, rel=1e-3, abs=2)


def test_a_trace_hands_out_its_opportunities() -> None:
    link = TraceCapacity([10, 20, 20, 50])
    assert link.finish(0, 1500) == 10 * MS
    assert link.finish(10 * MS, 2000) == 20 * MS
    assert link.finish(20 * MS, 1000) == 20 * MS  # the rest of the second opportunity at 20 ms
    assert link.finish(20 * MS, 1) == 50 * MS
    assert link.finish(50 * MS, 1600) == 60 * MS  # its rest, and the first one of the next round


def test_what_is_not_used_is_lost() -> None:
    link = TraceCapacity([10, 20])
    assert link.finish(0, 100) == 10 * MS
    assert link.finish(11 * MS, 100) == 20 * MS
    assert link.finish(35 * MS, 100) == 40 * MS


def test_bytes_of_a_trace() -> None:
    link = TraceCapacity([10, 20, 20, 50])
    assert link.bytes_between(0, 50 * MS) == 3 * 1500
    assert link.bytes_between(0, 500 * MS) == 39 * 1500  # the last one is at 500 ms itself
