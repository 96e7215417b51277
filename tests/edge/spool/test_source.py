from __future__ import annotations

import threading
import time

import pytest

from common.errors import SpoolError
from common.stream.messages import Ack, MainFrame, Mode, SideFrame, Status, Telemetry, Welcome
from common.stream.queue import Closed
from common.stream.sender import Sender, Settled
from common.types import SideCodec
from edge.report import StreamStats
from edge.spool import Spool, SpoolFull
from edge.spool.source import SpoolSource


class Rig:
    def __init__(self, spool: Spool, form: int) -> None:
        self.spool, self.form, self.stats = spool, form, StreamStats()
        self.change = threading.Condition()
        self.sender = Sender(Mode.DURABLE, base=spool.base, free=spool.next_seq)
        self.source = SpoolSource(spool, self.sender, self.change, self.stats)

    def open(self, **welcome) -> None:
        self.sender.disconnected()
        oldest = self.source.choose(self.form)
        self.sender.greet()
        self.source.resumed(self.sender.connected(Welcome("s", 100, **welcome), oldest))

    def next(self) -> list[str]:
        dispatch = self.source.next(0.0, lambda: False)
        assert dispatch is not None
        names = {MainFrame: "M", SideFrame: "S", Telemetry: "T"}
        return [f"{names[type(message)]}{message.seq}" for message in dispatch.messages]

    def ack(self, seq: int, status: Status = Status.DECODED, cumulative: int = 0) -> None:
        self.source.settled(self.sender.acked(Ack(seq, status, cumulative=cumulative)))


def rig_with(spool: Spool, make, count: int, codec: SideCodec = SideCodec.JPEG, **changes) -> Rig:
    form = spool.format_id(make.form(codec))
    spool.append(form, [make.frame(n, **changes) for n in range(count)])
    return Rig(spool, form)


def test_oldest_first_then_the_end(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 2, telemetry=(Telemetry(0, 0, "oxts", b"1"),))
    rig.open(base_seq=50)
    assert spool.base == 50  # on disk before the first frame goes
    assert rig.next() == ["T50", "S50", "M50"]
    assert rig.next() == ["T51", "S51", "M51"]
    with pytest.raises(Closed):
        rig.next()
    assert rig.sender.may_end


def test_no_end_while_frames_are_being_captured(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 1)
    rig.open()
    rig.source.growing = rig.form
    rig.next()
    assert rig.source.next(0.0, lambda: False) is None
    spool.append(rig.form, [make.frame(1)])
    assert rig.next() == ["S1", "M1"]
    rig.source.growing = None
    with pytest.raises(Closed):
        rig.next()


def test_waiting_ends_when_it_is_over_or_something_comes(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 1)
    rig.open()
    rig.source.growing = rig.form
    rig.next()
    assert rig.source.next(60.0, lambda: True) is None

    def later() -> None:
        time.sleep(0.1)
        spool.append(rig.form, [make.frame(1)])
        with rig.change:
            rig.change.notify_all()

    threading.Thread(target=later).start()
    begun = time.monotonic()
    assert rig.source.next(60.0, lambda: False) is None
    assert rig.next() == ["S1", "M1"] and time.monotonic() - begun < 30


def test_what_was_not_settled_comes_again_and_is_told_so(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 4)
    rig.open()
    for _ in range(4):
        rig.next()
    rig.ack(1)
    rig.source.flush()
    rig.open(next_seq=1, held=((3, 3),))
    dispatch = rig.source.next(0.0, lambda: False)
    assert dispatch.messages[-1].seq == 2 and dispatch.again
    assert rig.stats.frames["held"] == 2  # 0 and 3; 1 had its ack
    assert rig.source.flush() and spool.pending == 1


def test_settled_frames_are_written_together(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 6)
    rig.open()
    for _ in range(6):
        rig.next()
    rig.ack(4)
    rig.ack(5, Status.FAILED)
    rig.ack(0, cumulative=3)
    assert spool.pending == 6
    assert rig.source.flush() and spool.pending == 1
    assert [row["state"] for row in spool.ledger()] == ["kept", "kept", "kept", "pending", "kept", "failed"]


def test_full_disk_keeps_what_is_settled_in_mind(spool: Spool, make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rig_with(spool, make, 2)
    rig.open()
    rig.next()
    rig.ack(0)

    def full(settled: Settled) -> int:
        raise SpoolFull

    with monkeypatch.context() as patch:
        patch.setattr(spool, "settle", full)
        assert not rig.source.flush()
        with pytest.raises(SpoolError, match="full"):
            rig.source.resumed(Settled(below=1))
    assert rig.source.flush() and spool.pending == 1


def test_side_views_go_back_to_the_keyframe_on_a_new_connection(spool: Spool, make) -> None:
    form = spool.format_id(make.form(SideCodec.HEVC))
    for n in range(6):
        spool.append(form, [make.frame(n, keyframe=n == 0, reference=max(0, n - 1))])
    rig = Rig(spool, form)
    rig.open(base_seq=10)
    assert [rig.next() for _ in range(3)] == [["S10", "M10"], ["S11", "M11"], ["S12", "M12"]]
    rig.ack(10, cumulative=13)
    rig.source.flush()
    rig.open(next_seq=13)
    assert rig.next() == ["S10", "S11", "S12", "S13", "M13"]
    dispatch = rig.source.next(0.0, lambda: False)
    assert dispatch.messages[0].reference_seq == 13 and not dispatch.messages[0].keyframe


def test_frames_of_another_format_wait_for_another_connection(spool: Spool, make) -> None:
    old, new = spool.format_id(make.form(bundle="11" * 8)), spool.format_id(make.form())
    spool.append(old, [make.frame(0)])
    spool.append(new, [make.frame(1)])
    spool.append(old, [make.frame(2)])
    rig = Rig(spool, old)
    assert list(rig.source.formats()) == [old, new]
    rig.open()
    assert [rig.next(), rig.next()] == [["S0", "M0"], ["S2", "M2"]]
    with pytest.raises(Closed):
        rig.next()


def test_memory_does_not_grow_with_the_backlog(spool: Spool, make) -> None:
    spool.limit_bytes = 1 << 30
    rig = rig_with(spool, make, 500, side=None)
    rig.open()
    rig.next()
    assert rig.sender.ready + rig.sender.in_flight <= 64


def test_expired_frames_are_late_in_the_spool(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 3, taken_ns=0)
    rig.open()
    rig.sender.disconnected()
    time.sleep(0.01)
    assert rig.source.expire(0.001) == 3
    assert rig.stats.late_places.as_dict() == {"spool": 3} and rig.stats.main_drops.as_dict() == {"late": 3}
    assert rig.source.oldest() == 3 and rig.source.pending == 0


def test_frame_gone_meanwhile_is_passed_over(spool: Spool, make) -> None:
    rig = rig_with(spool, make, 3)
    rig.open()
    rig.next()
    spool.settle(Settled(kept=(1,)))
    assert rig.source.next(0.0, lambda: False) is None
    assert rig.next() == ["S2", "M2"]
