"""Pairing by capture time: which side view, how long to wait, how much to keep."""

from __future__ import annotations

import numpy as np
import pytest

from cloud.pairing import Pairer, PairingLimits, SideView
from common.types import SideState

MS = 1_000_000
LIMITS = PairingLimits(tolerance_ns=50 * MS, wait_ns=500 * MS, max_stale_ns=2000 * MS)


def side(capture_ms: float, mark: int = 0, height: int = 4) -> SideView:
    return SideView(int(capture_ms * MS), np.full((height, 4, 3), mark, np.uint8))


def pairer(**changes: int) -> Pairer[str]:
    fields = {**LIMITS.__dict__, **changes}
    return Pairer(PairingLimits(**fields))


def test_equal_capture_times_pair_at_once() -> None:
    p = pairer()
    p.add_main("a", 100 * MS, now_ns=0)
    assert p.take_ready(0) == []
    p.add_side(side(100, mark=7))
    (pair,) = p.take_ready(0)
    assert (pair.main, pair.state) == ("a", SideState.EXACT)
    assert pair.side is not None and pair.side.image[0, 0, 0] == 7


def test_side_view_may_arrive_first() -> None:
    p = pairer()
    p.add_side(side(100))
    p.add_side(side(200))
    p.add_main("a", 101 * MS, now_ns=0)
    (pair,) = p.take_ready(0)
    assert pair.state is SideState.EXACT and pair.side is not None and pair.side.capture_ns == 100 * MS


def test_waits_for_a_nearer_side_view_at_high_frame_rates() -> None:
    """At 30 Hz the side view of the frame before is within 50 ms too, but it is the wrong one."""
    p = pairer()
    p.add_side(side(0))
    p.add_side(side(33))
    p.add_main("a", 66 * MS, now_ns=0)
    assert p.take_ready(10 * MS) == []
    p.add_side(side(66))
    (pair,) = p.take_ready(20 * MS)
    assert pair.side is not None and pair.side.capture_ns == 66 * MS


def test_unsynchronised_cameras_settle_without_waiting_once_the_interval_is_known() -> None:
    p = pairer()
    p.add_side(side(0))
    p.add_side(side(100))
    p.add_main("a", 120 * MS, now_ns=0)
    (pair,) = p.take_ready(0)
    assert pair.state is SideState.EXACT and pair.side is not None and pair.side.capture_ns == 100 * MS


@pytest.mark.parametrize(
    ("distance_ms", "state"),
    [
        (0, SideState.EXACT),
        (50, SideState.EXACT),
        (51, SideState.STALE),
        (2000, SideState.STALE),
        (2001, SideState.MISSING),
    ],
)
def test_state_by_distance_after_the_wait(distance_ms: int, state: SideState) -> None:
    p = pairer()
    p.add_side(side(1000))
    p.add_main("a", (1000 + distance_ms) * MS, now_ns=0)
    if state is not SideState.EXACT:
        assert p.take_ready(499 * MS) == []
    (pair,) = p.take_ready(500 * MS)
    assert pair.state is state
    assert (pair.side is None) == (state is SideState.MISSING)


def test_no_side_view_at_all_is_missing_after_the_wait_and_not_before() -> None:
    p = pairer()
    p.add_main("a", 0, now_ns=7)
    assert p.next_deadline_ns() == 500 * MS + 7
    assert p.take_ready(500 * MS + 6) == []
    (pair,) = p.take_ready(500 * MS + 7)
    assert pair.state is SideState.MISSING and pair.side is None
    assert p.next_deadline_ns() is None


def test_nothing_waits_after_the_side_view_ended() -> None:
    p = pairer()
    p.set_side_ended(True)
    p.add_main("a", 0, now_ns=0)
    assert [x.state for x in p.take_ready(0)] == [SideState.MISSING]
    p.set_side_ended(False)
    p.add_main("b", 0, now_ns=0)
    assert p.take_ready(0) == []
    assert [x.main for x in p.take_ready(0, flush=True)] == ["b"]


def test_frames_leave_in_the_order_they_came() -> None:
    p = pairer()
    p.add_main("a", 0, now_ns=0)
    p.add_main("b", 100 * MS, now_ns=100 * MS)
    p.add_side(side(100))  # fits b; for a it is the nearest there can be, but too far
    pairs = p.take_ready(100 * MS)
    assert [(x.main, x.state) for x in pairs] == [("a", SideState.STALE), ("b", SideState.EXACT)]


def test_waiting_frames_are_bounded_oldest_first() -> None:
    p = pairer(max_waiting=2)
    assert p.add_main("a", 0, 0) is None
    assert p.add_main("b", 1, 0) is None
    assert p.add_main("c", 2, 0) == "a"
    assert p.waiting == 2


def test_side_views_are_bounded_in_frames_and_bytes() -> None:
    p = pairer(max_side_frames=3)
    for t in range(10):
        p.add_side(side(100 * t))
    assert p.side_bytes == 3 * 48
    p = pairer(max_side_bytes=100)
    for t in range(10):
        p.add_side(side(100 * t))
    assert p.side_bytes == 96
    p.add_side(side(2000, height=1000))  # larger than the bound by itself: still the one to use
    assert p.side_bytes == 12_000


def test_a_clock_set_back_forgets_the_other_time() -> None:
    p = pairer()
    p.add_side(side(1_000_000, mark=1))
    p.add_side(side(0, mark=2))
    p.add_main("a", 0, now_ns=0)
    (pair,) = p.take_ready(0)
    assert pair.side is not None and pair.side.image[0, 0, 0] == 2


def test_side_views_out_of_order_are_sorted() -> None:
    p = pairer()
    for t in (0, 200, 100, 300):
        p.add_side(side(t))
    p.add_main("a", 100 * MS, now_ns=0)
    (pair,) = p.take_ready(0)
    assert pair.side is not None and pair.side.capture_ns == 100 * MS


def test_a_side_view_received_in_time_is_waited_for_while_it_is_decoded() -> None:
    p = pairer()
    p.announce_side(10 * MS)
    p.add_main("a", 10 * MS, now_ns=0)
    assert p.take_ready(9000 * MS) == []
    p.add_side(side(10))
    p.resolve_side(10 * MS)
    (pair,) = p.take_ready(9000 * MS)
    assert pair.state is SideState.EXACT


def test_an_announced_side_view_that_does_not_decode_holds_nobody() -> None:
    p = pairer()
    p.announce_side(10 * MS)
    p.announce_side(900 * MS)  # of another frame: nobody waits for that one
    p.add_main("a", 10 * MS, now_ns=0)
    p.resolve_side(10 * MS)
    assert [x.state for x in p.take_ready(500 * MS)] == [SideState.MISSING]


# --- notes: why a frame goes without its side view ------------------------------------------------------------


def test_an_exact_pair_has_no_note() -> None:
    p = pairer()
    p.announce_side(100 * MS)
    p.add_side(side(100))
    p.resolve_side(100 * MS)
    p.add_main("a", 100 * MS, now_ns=0)
    assert [x.note for x in p.take_ready(0)] == [""]


def test_late_and_then_counted_when_it_comes() -> None:
    p = pairer()
    p.add_main("a", 100 * MS, now_ns=0)
    assert [(x.state, x.note) for x in p.take_ready(500 * MS)] == [(SideState.MISSING, "late")]
    assert p.late_sides == 0
    p.add_side(side(100))
    p.add_side(side(900))
    assert p.late_sides == 1


def test_lost_when_a_later_one_is_there() -> None:
    p = pairer()
    for t in (0, 200):
        p.announce_side(t * MS)
        p.add_side(side(t))
        p.resolve_side(t * MS)
    p.add_main("a", 100 * MS, now_ns=0)
    assert [(x.state, x.note) for x in p.take_ready(0)] == [(SideState.STALE, "lost")]


def test_lost_when_the_side_view_ended_and_nothing_where_there_was_none() -> None:
    p = pairer()
    p.set_side_ended(True)
    p.add_main("a", 0, now_ns=0)
    assert [x.note for x in p.take_ready(0)] == [""]
    p.announce_side(0)
    p.resolve_side(0)
    p.add_main("b", 5000 * MS, now_ns=0)
    assert [x.note for x in p.take_ready(0)] == ["lost"]


def test_what_arrived_and_is_of_no_use_says_why_and_holds_nobody() -> None:
    p = pairer()
    for t, note in ((100, "corrupt"), (200, "other size")):
        p.announce_side(t * MS)
        p.add_main(str(t), t * MS, now_ns=0)
        assert p.take_ready(0) == []
        p.lose_side(t * MS, note)
        p.resolve_side(t * MS)
        assert [(x.main, x.state, x.note) for x in p.take_ready(0)] == [(str(t), SideState.MISSING, note)]


def test_lost_side_views_are_remembered_for_a_while_only() -> None:
    p = pairer(max_side_frames=2)
    for t in (100, 200, 300):
        p.lose_side(t * MS, "corrupt")
    p.add_main("a", 100 * MS, now_ns=0)
    assert p.take_ready(0) == []


def test_a_deadline_shortens_the_wait_to_half_of_what_is_left() -> None:
    p = pairer()
    p.add_main("a", 0, now_ns=0, due_ns=200 * MS)
    assert p.next_deadline_ns() == 100 * MS
    assert [x.main for x in p.take_ready(100 * MS)] == ["a"]
    p.add_main("b", 0, now_ns=300 * MS, due_ns=200 * MS)  # past it already
    assert p.next_deadline_ns() == 300 * MS
    p = pairer()
    p.add_main("c", 0, now_ns=0, due_ns=5000 * MS)
    assert p.next_deadline_ns() == 500 * MS


def test_a_clock_an_hour_off_is_found_out_and_corrected() -> None:
    hour = 3_600_000
    p = pairer()
    pairs = []
    for n in range(20):
        p.announce_side((100 * n - hour) * MS)
        p.add_side(side(100 * n - hour, mark=n))
        p.resolve_side((100 * n - hour) * MS)
        p.add_main(str(n), 100 * n * MS, now_ns=n * 1000 * MS)
        pairs += p.take_ready(n * 1000 * MS + 600 * MS)
    assert [x.state for x in pairs[:7]] == [SideState.MISSING] * 7
    exact = [x for x in pairs if x.state is SideState.EXACT]
    assert len(exact) >= 11 and {x.note for x in exact} == {f"skew +{hour} ms"}
    assert all(int(x.main) == int(x.side.image[0, 0, 0]) for x in exact)
