from __future__ import annotations

import threading
import time

import grpc
import pytest

from common.errors import CloudUnreachable, MdicError, PeerRejected
from common.stream.messages import Fault, Hello, MainFrame, Mode, Role
from common.stream.queue import BoundedQueue
from common.stream.sender import Sender
from edge.courier import Call, Courier
from edge.livesource import LiveSource
from edge.outgoing import Outgoing
from edge.report import StreamStats


class Rig:
    """A live stream's courier, and what it says."""

    def __init__(self, address: str, fakes, *, comes_back: bool = True, patience_s: float = 20.0) -> None:
        self.change, self.stats = threading.Condition(), StreamStats()
        self.queue: BoundedQueue[Outgoing] = BoundedQueue(64, self.change)
        self.sender = Sender(Mode.LIVE, wait=False)
        self.source = LiveSource(self.queue, self.sender, self.change, self.stats)
        self.hello = Hello("car", Role.MAIN, fakes.bundle_id, 64, 96)
        self.notices: list[str] = []
        self.hangups: list[MdicError | None] = []
        self.courier = Courier(
            address,
            self,
            self.sender,
            self.change,
            self.stats,
            comes_back=comes_back,
            patience_s=patience_s,
            notice=self.notices.append,
            chance=lambda: 0.0,
        )

    def dial(self, over) -> Call | None:
        return Call(self.hello)

    def tick(self) -> None:
        pass

    def hung_up(self, failure: MdicError | None) -> None:
        self.hangups.append(failure)

    def put(self, seq: int) -> None:
        self.queue.put(Outgoing(time.monotonic_ns(), MainFrame(seq, seq, b"m"), None))


@pytest.fixture
def rigs(cloud, fakes):
    made = []

    def make(**changes) -> Rig:
        made.append(Rig(cloud.address, fakes, **changes))
        return made[-1]

    yield make
    for rig in made:
        rig.source.discard()
        rig.courier.close()


def test_one_connection_to_its_end(rigs, cloud) -> None:
    rig = rigs()
    rig.courier.connect()
    assert rig.courier.session == "s-1"
    rig.courier.start()
    rig.put(0)
    rig.queue.close()
    assert rig.courier.wait_done(30) and rig.courier.failure is None
    assert rig.hangups == [None] and not rig.notices
    assert rig.stats.connections.as_dict() == {"opened": 1}
    assert rig.courier.lag_ms() == 0


def test_comes_back_after_a_cut_and_loses_only_what_was_under_way(rigs, cloud, eventually) -> None:
    cloud.die_at = 2
    rig = rigs()
    rig.courier.connect()
    rig.courier.start()
    for seq in range(2):
        rig.put(seq)
    assert eventually(lambda: rig.stats.connections["lost"] == 1)
    cloud.die_at = None
    assert eventually(lambda: rig.stats.connections["opened"] == 2)
    rig.put(2)
    rig.queue.close()
    assert rig.courier.wait_done(30) and rig.courier.failure is None
    assert cloud.mains[-1].seq == 2 and rig.stats.unsettled == 1
    assert "test: died" in rig.notices[0] and "again" in rig.notices[-1]


def test_first_connection_says_at_once_what_is_wrong(fakes) -> None:
    rig = Rig("127.0.0.1:1", fakes)
    with pytest.raises(CloudUnreachable):
        rig.courier.connect()


def test_patience_ends_with_what_cut_it(rigs, cloud, eventually) -> None:
    rig = rigs(patience_s=1.0)
    rig.courier.connect()
    rig.courier.start()
    cloud.die_at = 1
    rig.put(0)
    assert eventually(lambda: rig.stats.connections["lost"] == 1)
    cloud.server.stop(0)
    assert rig.courier.wait_done(30)
    assert isinstance(rig.courier.failure, CloudUnreachable) and "test: died" in str(rig.courier.failure)


def test_who_does_not_come_back_fails_with_the_cut(rigs, cloud) -> None:
    cloud.die_at = 1
    rig = rigs(comes_back=False)
    rig.courier.connect()
    rig.courier.start()
    rig.put(0)
    assert rig.courier.wait_done(30)
    assert isinstance(rig.courier.failure, CloudUnreachable) and not rig.notices


def test_refused_live_stream_does_not_try_again(rigs, cloud, eventually) -> None:
    rig = rigs()
    rig.courier.connect()
    rig.courier.start()
    cloud.fault = (Fault(44, "taken"), grpc.StatusCode.ALREADY_EXISTS)
    cloud.die_at = 1
    rig.put(0)
    assert rig.courier.wait_done(30)
    assert isinstance(rig.courier.failure, PeerRejected) and len(cloud.hellos) == 2


def test_giving_up_is_quick_in_the_middle_of_a_wait(rigs, cloud, eventually) -> None:
    rig = rigs()
    rig.courier.connect()
    rig.courier.start()
    cloud.server.stop(0)
    assert eventually(lambda: rig.courier.trouble is not None)
    begun = time.monotonic()
    rig.courier.give_up(PeerRejected(1, "enough"))
    assert rig.courier.done and time.monotonic() - begun < 5
    assert isinstance(rig.courier.failure, CloudUnreachable)  # the trouble, not the word


def test_defect_is_kept_for_the_caller(rigs) -> None:
    rig = rigs()
    rig.courier._dialer.tick = lambda: 1 / 0
    rig.courier.connect()
    rig.courier.start()
    assert rig.courier.wait_done(30)
    assert isinstance(rig.courier.defect, ZeroDivisionError)


def test_silent_cloud_is_given_up(rigs, cloud, eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rigs()
    rig.courier.connect()
    monkeypatch.setattr(type(rig.courier._uplink), "lost", property(lambda uplink: True))
    rig.courier.start()
    assert eventually(lambda: any("heartbeats" in line for line in rig.notices))
