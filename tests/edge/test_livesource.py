from __future__ import annotations

import threading
import time

import pytest

from common.stream.messages import Ack, MainFrame, Mode, SideFrame, Status, Telemetry, Welcome
from common.stream.queue import BoundedQueue, Closed
from common.stream.sender import Sender, Settled
from edge.livesource import LiveSource, due_ms
from edge.outgoing import Outgoing
from edge.report import StreamStats

MS = 1_000_000


class Rig:
    def __init__(self, *, wait: bool = False, window: int = 4, deadline_ms: int = 0) -> None:
        self.now = 10**12
        self.stats = StreamStats(clock=lambda: self.now)
        self.change = threading.Condition()
        self.queue: BoundedQueue[Outgoing] = BoundedQueue(16, self.change)
        self.sender = Sender(Mode.LIVE, wait=wait)
        self.source = LiveSource(self.queue, self.sender, self.change, self.stats, deadline_ms)
        self.window = window
        self.keyframes = 0
        self.source.request_keyframe = self.count
        self.open()

    def count(self) -> None:
        self.keyframes += 1

    def open(self) -> None:
        self.sender.disconnected()
        self.sender.greet()
        self.source.resumed(self.sender.connected(Welcome("s", self.window)))

    def put(self, seq: int, *, age_ms: int = 0, ref: int | None = None, **changes) -> None:
        side = SideFrame(seq, seq, b"s", ref is None, ref or 0)
        settings = {"main": MainFrame(seq, seq, b"m"), "side": side} | changes
        self.queue.put(Outgoing(self.now - age_ms * MS, **settings))

    def next(self) -> list[tuple[str, int]] | None:
        dispatch = self.source.next(0.0, lambda: False)
        return dispatch and [(type(m).__name__[0], m.seq) for m in dispatch.messages]


def test_telemetry_then_side_then_main() -> None:
    rig = Rig()
    rig.put(3, telemetry=(Telemetry(3, 3, "oxts", b"1"),), quality=5)
    dispatch = rig.source.next(0.0, lambda: False)
    assert [type(m).__name__ for m in dispatch.messages] == ["Telemetry", "SideFrame", "MainFrame"]
    assert (dispatch.quality, dispatch.taken_ns, dispatch.again) == (5, rig.now, False)
    assert rig.sender.in_flight == 1


def test_frames_wait_in_the_queue_for_the_window() -> None:
    rig = Rig(wait=True, window=1)
    rig.put(0)
    rig.put(1)
    assert rig.next() == [("S", 0), ("M", 0)]
    assert rig.next() is None and len(rig.queue) == 1

    def later() -> None:
        time.sleep(0.1)
        with rig.change:
            rig.sender.acked(Ack(0, Status.DECODED))
            rig.change.notify_all()

    threading.Thread(target=later).start()
    begun = time.monotonic()
    assert rig.source.next(60.0, lambda: False).messages[-1].seq == 1
    assert time.monotonic() - begun < 30


def test_end_comes_when_the_queue_is_closed_and_empty() -> None:
    rig = Rig()
    rig.put(0)
    rig.queue.close()
    assert rig.next()
    with pytest.raises(Closed):
        rig.next()
    assert rig.sender.may_end


def test_nothing_is_taken_from_the_queue_for_a_dead_connection() -> None:
    rig = Rig()
    rig.put(0)
    assert rig.source.next(60.0, lambda: True) is None
    assert len(rig.queue) == 1


def test_late_frames_are_dropped_and_counted_with_their_place() -> None:
    rig = Rig(deadline_ms=100)
    rig.put(0, age_ms=101)
    rig.put(1, age_ms=99)
    assert rig.next() is None
    dispatch = rig.source.next(0.0, lambda: False)
    assert dispatch.messages[-1].due_ms == (rig.now // MS - 99 + 100) % 2**32
    assert rig.stats.late_places.as_dict() == {"send_queue": 1}
    assert rig.stats.main_drops.as_dict() == {"late": 1} == rig.stats.side_drops.as_dict()


def test_without_a_deadline_nothing_is_late() -> None:
    rig = Rig()
    rig.put(0, age_ms=10**6)
    assert rig.source.next(0.0, lambda: False).messages[-1].due_ms == 0


def test_side_views_with_nothing_to_build_on_stay_home() -> None:
    rig = Rig()
    rig.put(0)
    rig.put(2, ref=1)
    rig.put(3, ref=0)
    assert [rig.next() for _ in range(3)] == [[("S", 0), ("M", 0)], [("M", 2)], [("S", 3), ("M", 3)]]
    assert rig.stats.side_drops.as_dict() == {"send_queue": 1}
    rig.open()  # a new connection has a new decoder
    assert rig.keyframes == 1
    rig.put(4, ref=3)
    rig.put(5)
    assert [rig.next(), rig.next()] == [[("M", 4)], [("S", 5), ("M", 5)]]


def test_what_is_left_is_counted() -> None:
    rig = Rig()
    rig.put(0)
    rig.put(1, main=None)
    rig.source.settled(Settled(kept=(9,)))
    rig.source.discard()
    assert rig.stats.main_drops.as_dict() == {"shutdown": 1}
    assert rig.stats.side_drops.as_dict() == {"shutdown": 2}


def test_due_time_is_never_zero_and_fits() -> None:
    assert due_ms(0, 500) == 500
    assert due_ms((2**32 - 500) * MS, 500) == 1
    assert due_ms(2**40 * MS, 7) == (2**40 + 7) % 2**32
