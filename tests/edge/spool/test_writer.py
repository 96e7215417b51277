from __future__ import annotations

import threading
import time

import pytest

from common.stream.messages import MainFrame, SideFrame
from common.stream.queue import BoundedQueue
from common.stream.sender import Settled
from common.types import SideCodec
from edge.outgoing import Outgoing
from edge.report import StreamStats
from edge.spool import Spool
from edge.spool.writer import SpoolWriter


def item(number: int, *, side: int | None = None, key: bool = True, ref: int = 0, size: int = 50) -> Outgoing:
    main = MainFrame(number, 10**18 + number, bytes(size))
    coded = None if side is None else SideFrame(number, 10**18 + number, bytes(side), key, ref)
    return Outgoing(time.monotonic_ns(), main, coded)


class Rig:
    def __init__(self, spool: Spool, form: int, **changes) -> None:
        self.spool, self.stats = spool, StreamStats()
        self.queue: BoundedQueue[Outgoing] = BoundedQueue(100)
        self.kept = self.keyframes = 0
        settings = {"wait": False, "camera": None} | changes
        self.writer = SpoolWriter(
            spool,
            form,
            self.queue,
            self.stats,
            on_kept=self._kept,
            request_keyframe=self._keyframe,
            **settings,
        )

    def _kept(self) -> None:
        self.kept += 1

    def _keyframe(self) -> None:
        self.keyframes += 1

    def run(self, *items: Outgoing) -> None:
        for one in items:
            self.queue.put(one)
        self.queue.close()
        self.writer.start()
        assert self.writer.join(30)
        assert self.writer.failure is None


@pytest.fixture
def rig(spool: Spool, make) -> Rig:
    return Rig(spool, spool.format_id(make.form(SideCodec.HEVC)))


def test_frames_are_committed_in_few_transactions_and_counted(rig: Rig) -> None:
    rig.run(*(item(n, side=10) for n in range(40)))
    assert rig.spool.pending == 40 == rig.stats.frames["captured"]
    assert 3 <= rig.kept <= 6  # 40 frames in batches of 16, and the end


def test_references_are_renumbered(rig: Rig) -> None:
    rig.run(
        item(7, side=10), item(9, side=10, key=False, ref=7), item(10), item(11, side=10, key=False, ref=9)
    )
    assert [(s.seq, s.reference_seq) for s in rig.spool.sides(3, None)] == [(0, 0), (1, 0), (3, 1)]
    assert not rig.keyframes


def test_side_view_whose_reference_is_not_here_is_left_out(rig: Rig) -> None:
    rig.run(item(0, side=10), item(2, side=10, key=False, ref=1))
    assert rig.spool.pending == 2 and not rig.spool.sides(1, None)
    assert rig.keyframes


def test_frame_without_a_main_view_is_no_frame(rig: Rig) -> None:
    rig.run(Outgoing(0, None, SideFrame(0, 0, b"s")), item(1))
    assert rig.spool.pending == 1
    assert rig.stats.side_drops.as_dict() == {"encode_failed": 1}


def test_full_spool_refuses_the_newest_of_a_live_camera(rig: Rig) -> None:
    rig.spool.limit_bytes = 5 * (128 + 50)
    rig.run(*(item(n) for n in range(8)))
    assert rig.spool.pending == 5
    assert rig.stats.main_drops.as_dict() == {"spool_full": 3}
    assert [row["capture_ns"] - 10**18 for row in rig.spool.ledger()] == [0, 1, 2, 3, 4]


def test_recording_waits_for_room_and_remembers_its_place(spool: Spool, make) -> None:
    rig = Rig(spool, spool.format_id(make.form()), wait=True, camera="kitti:x")
    spool.limit_bytes = 3 * (128 + 50)
    thread = threading.Thread(target=rig.run, args=[item(n) for n in range(7)])
    thread.start()
    while not rig.writer.waiting:
        time.sleep(0.01)
    assert spool.position("kitti:x") == spool.pending == 3
    for below in (3, 6):
        spool.settle(Settled(below=below))
        time.sleep(0.3)
    thread.join(30)
    assert spool.next_seq == 7 == spool.position("kitti:x")
    assert not rig.stats.main_drops.total


def test_frame_that_never_fits_is_refused_even_if_it_could_wait(spool: Spool, make) -> None:
    rig = Rig(spool, spool.format_id(make.form()), wait=True)
    rig.run(item(0), item(1, size=2 << 20), item(2))
    assert spool.pending == 2 and rig.stats.main_drops.as_dict() == {"spool_full": 1}


def test_giving_up_keeps_the_place_of_the_first_frame_dropped(spool: Spool, make) -> None:
    rig = Rig(spool, spool.format_id(make.form()), wait=True, camera="kitti:x")
    spool.limit_bytes = 2 * (128 + 50)
    for number in range(6):
        rig.queue.put(item(number, size=50 if number != 5 else 1))
    rig.queue.close()
    rig.writer.start()
    while not rig.writer.waiting:
        time.sleep(0.01)
    rig.writer.give_up()
    assert rig.writer.join(30)
    assert spool.position("kitti:x") == 2  # nothing after it slipped in: the next run takes them up
    assert rig.stats.main_drops.total == 4


def test_defect_is_kept_and_what_is_queued_counted(rig: Rig) -> None:
    rig.spool.append = lambda *a: 1 / 0  # type: ignore[method-assign]
    rig.queue.put(item(0))
    rig.writer.start()
    assert rig.writer.join(30)
    assert isinstance(rig.writer.failure, ZeroDivisionError) and rig.queue.closed
