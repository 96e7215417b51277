"""The way of main frames without a network: deadlines, hints, numbers, back-pressure."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_cloud import cloud, go, until
from fake_decoder import FakeDecoder
from fake_edge import hello, main, new_stream, side

from cloud.mainview import LATE_ARRIVAL, LATE_PAIRING
from cloud.pairing import PairingLimits
from cloud.scheduler import LATE, SchedulerLimits
from cloud.sinks.images import ImageSink
from cloud.status import NothingDurable
from common.stream.messages import Ack, Hint, Mode, Ping, Role, Status

MS = 1_000_000
OFFSET_NS = -7_000_000_123  # the edge's clock is ahead of ours by that much


def told(connection) -> list[object]:
    return [connection.outbox.get_nowait() for _ in range(connection.outbox.qsize())]


def acks(connection) -> dict[int, Ack]:
    return {m.seq: m for m in told(connection) if isinstance(m, Ack)}


def due_in(ms: float) -> int:
    """Return what an edge writes for a frame that is useless in `ms`."""
    return (time.monotonic_ns() - OFFSET_NS + round(ms * MS)) // MS % 2**32


def with_clock(connection) -> None:
    connection.receive_ping(Ping(1, OFFSET_NS, 1000))


def test_a_frame_that_arrives_late_is_not_worth_pairing() -> None:
    async def check() -> None:
        async with cloud() as c:
            session, connection = await c.registry.join(hello(Role.MAIN, deadline_ms=100))
            with_clock(connection)
            session.take_main(connection, replace(main(0), due_ms=due_in(-50)))
            session.take_main(connection, replace(main(1), due_ms=due_in(60_000)))
            session.take_main(connection, main(2))
            await session.end(connection)
            answers = acks(connection)
            assert (answers[0].status, answers[0].detail) == (Status.DROPPED, LATE_ARRIVAL)
            assert answers[1].status is answers[2].status is Status.DECODED
            assert c.totals.as_dict()["reasons"] == {f"dropped: {LATE_ARRIVAL}": 1}

    go(check())


def test_without_an_estimate_of_the_clocks_nothing_is_late() -> None:
    async def check() -> None:
        async with cloud() as c:
            session, connection = await c.registry.join(hello(Role.MAIN, deadline_ms=100))
            connection.receive_ping(Ping(1))
            session.take_main(connection, replace(main(0), due_ms=due_in(-50)))
            await session.end(connection)
            assert acks(connection)[0].status is Status.DECODED

    go(check())


def test_pairing_leaves_time_to_decode() -> None:
    async def check() -> None:
        async with cloud(pairing=PairingLimits(wait_ns=60_000 * MS)) as c:
            session, connection = await c.registry.join(hello(deadline_ms=600))
            with_clock(connection)
            session.take_main(connection, replace(main(0), due_ms=due_in(600)))
            await asyncio.wait_for(connection.settled(), 5)
            answer = acks(connection)[0]
            assert answer.status is Status.DECODED and 250 <= answer.queue_ms < 600

    go(check())


def test_late_while_its_side_view_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    class Slow:
        def decode(self, packet):
            assert gate.wait(10)
            return []

        def flush(self):
            return []

    monkeypatch.setattr("cloud.sessions.open_side_decoder", lambda *_: Slow())

    async def check() -> None:
        async with cloud(pairing=PairingLimits(wait_ns=60_000 * MS)) as c:
            session, connection = await c.registry.join(hello(deadline_ms=100))
            with_clock(connection)
            await session.take_side(connection, side(0))
            session.take_main(connection, replace(main(0), due_ms=due_in(100)))
            await asyncio.sleep(0.2)
            gate.set()
            await asyncio.wait_for(connection.settled(), 5)
            assert acks(connection)[0].detail == LATE_PAIRING

    go(check())


def test_late_in_the_decode_queue() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), max_batch=1) as c:
            session, connection = await c.registry.join(hello(deadline_ms=300))
            with_clock(connection)
            for seq in range(3):
                await session.take_side(connection, side(seq))
            await until(lambda: session._feed._task.done())
            session.take_main(connection, main(0))
            await until(lambda: c.scheduler._running != [])
            session.take_main(connection, replace(main(1), due_ms=due_in(300)))
            session.take_main(connection, replace(main(2), due_ms=due_in(60_000)))
            await until(lambda: c.scheduler.waiting == 2)
            await asyncio.sleep(0.35)
            gate.set()
            await session.end(connection)
            answers = acks(connection)
            assert [answers[s].status for s in range(3)] == [Status.DECODED, Status.DROPPED, Status.DECODED]
            assert answers[1].detail == LATE and answers[1].queue_ms >= 300

    go(check())


def test_a_busy_cloud_says_so_and_says_when_it_is_over() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), window=40) as c:
            session, connection = await c.registry.join(hello(Role.MAIN))
            for seq in range(33):
                session.take_main(connection, main(seq))
            (hint,) = told(connection)
            assert isinstance(hint, Hint) and (hint.queued, hint.window) == (33, 10)
            await asyncio.sleep(0.5)
            again = told(connection)
            assert 1 <= len(again) <= 3 and {h.window for h in again} == {10}
            assert again[-1].queue_ms >= 300
            gate.set()
            await session.flush()
            await connection.settled()
            last: list[object] = []

            def clear() -> bool:
                last.extend(m for m in told(connection) if isinstance(m, Hint))
                return bool(last) and last[-1].window == 40

            await until(clear, 5)
            await asyncio.sleep(0.5)
            assert connection.outbox.empty()

    go(check())


def test_numbers_on_their_way_are_not_free(tmp_path: Path) -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), sinks=(ImageSink(tmp_path),)) as c:
            session, first = await c.registry.join(hello(Role.MAIN, mode=Mode.DURABLE))
            session.take_main(first, main(41))
            c.registry.leave(session, first)
            _, second = await c.registry.join(hello(Role.MAIN, mode=Mode.DURABLE))
            assert second.welcome.base_seq == 42
            gate.set()

    go(check())


def test_a_stream_that_loses_nothing_waits_for_the_scheduler_too(tmp_path: Path) -> None:
    async def check() -> None:
        gate = threading.Event()
        queue = SchedulerLimits(stream_frames=2)
        async with cloud(FakeDecoder(gate=gate), 1, queue=queue, sinks=(ImageSink(tmp_path),)) as c:
            session, connection = await c.registry.join(hello(Role.MAIN, mode=Mode.DURABLE))
            for seq in range(4):
                await asyncio.wait_for(session.room(connection), 1)
                session.take_main(connection, main(seq))
            session._view.pairer.set_side_ended(True)
            session._view.pump()
            await until(lambda: c.scheduler.crowded("car-1"))
            room = asyncio.ensure_future(session.room(connection))
            await asyncio.sleep(0.05)
            assert not room.done()
            gate.set()
            await asyncio.wait_for(room, 5)
            await connection.settled()
            assert {a.status for a in acks(connection).values()} == {Status.DECODED}

    go(check())


def test_nothing_durable_without_a_sink_for_it() -> None:
    async def check() -> None:
        async with cloud(linger_s=0.01) as c:
            with pytest.raises(NothingDurable):
                await c.registry.join(hello(mode=Mode.DURABLE))
            await until(lambda: c.registry.sessions == 0)

    go(check())


def test_a_conflict_fails_with_a_sentence_and_no_path(tmp_path: Path) -> None:
    async def check() -> None:
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            session, connection = await c.registry.join(hello(Role.MAIN, mode=Mode.DURABLE))
            session.take_main(connection, main(0))
            await session.end(connection)
            c.registry.leave(session, connection)
            session, live = await c.registry.join(hello(Role.MAIN, stream_id=new_stream()))
            session.take_main(live, main(0))
            session.take_main(live, main(1))
            await session.end(live)
            answers = acks(live)
            assert answers[0].status is Status.FAILED and "of another stream" in answers[0].detail
            assert str(tmp_path) not in answers[0].detail and answers[1].status is Status.DECODED

    go(check())
