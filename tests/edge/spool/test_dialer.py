from __future__ import annotations

import threading
import time

import pytest

from common.errors import CloudUnreachable, PeerRejected
from common.stream.messages import Hello, Mode, Role
from common.stream.sender import Sender, Settled
from edge.report import StreamStats
from edge.spool import Spool, SpoolFormat
from edge.spool.dialer import SpoolDialer
from edge.spool.source import SpoolSource


def hello(form: SpoolFormat, oldest: int) -> Hello:
    return Hello("car", Role.BOTH, bytes.fromhex(form.bundle), oldest_seq=oldest)


@pytest.fixture
def dialer(spool: Spool) -> SpoolDialer:
    change = threading.Condition()
    source = SpoolSource(spool, Sender(Mode.DURABLE), change, StreamStats())
    return SpoolDialer(source, change, hello)


def never() -> bool:
    return False


def test_oldest_frames_first(dialer: SpoolDialer, spool: Spool, make) -> None:
    old, new = spool.format_id(make.form(bundle="11" * 8)), spool.format_id(make.form())
    spool.append(old, [make.frame(0), make.frame(1)])
    spool.append(new, [make.frame(2)])
    spool.settle(Settled(kept=(0,)))
    call = dialer.dial(never)
    assert (call.hello.bundle_id, call.hello.oldest_seq, call.oldest) == (b"\x11" * 8, 1, 1)


def test_refused_bundle_lets_the_others_go_first(dialer: SpoolDialer, spool: Spool, make) -> None:
    old, new = spool.format_id(make.form(bundle="11" * 8)), spool.format_id(make.form())
    spool.append(old, [make.frame(0)])
    spool.append(new, [make.frame(1)])
    dialer.dial(never)
    dialer.hung_up(PeerRejected(26, "foreign bundle"))
    call = dialer.dial(never)
    assert (call.hello.bundle_id, call.oldest) == (bytes(8), 0)  # 0 is still to come
    dialer.hung_up(CloudUnreachable("h:1", "gone"))
    assert dialer.dial(never).hello.bundle_id == bytes(8)
    spool.settle(Settled(kept=(1,)))
    assert dialer.dial(never).hello.bundle_id == b"\x11" * 8  # nothing else is left: ask again


def test_waits_for_frames_and_ends_when_none_will_come(dialer: SpoolDialer, spool: Spool, make) -> None:
    form = spool.format_id(make.form())
    threading.Timer(0.2, lambda: spool.append(form, [make.frame(0)])).start()
    assert dialer.dial(never).oldest == 0
    spool.settle(Settled(below=1))
    threading.Timer(0.2, dialer.finish).start()
    begun = time.monotonic()
    assert dialer.dial(never) is None
    assert 0.1 < time.monotonic() - begun < 10
    assert dialer.dial(lambda: True) is None


def test_settled_frames_are_written_now_and_then(dialer: SpoolDialer, spool: Spool, make) -> None:
    spool.append(spool.format_id(make.form()), [make.frame(0), make.frame(1)])
    dialer.source.settled(Settled(kept=(0,)))
    time.sleep(0.25)
    dialer.tick()
    assert spool.pending == 1
    dialer.source.settled(Settled(kept=(1,)))
    dialer.hung_up(None)
    assert spool.pending == 0


def test_old_frames_are_given_up_before_connecting(spool: Spool, make) -> None:
    change = threading.Condition()
    source = SpoolSource(spool, Sender(Mode.DURABLE), change, StreamStats())
    dialer = SpoolDialer(source, change, hello, age_s=0.001)
    spool.append(spool.format_id(make.form()), [make.frame(0, taken_ns=0)])
    time.sleep(0.01)
    dialer.finish()
    assert dialer.dial(never) is None
