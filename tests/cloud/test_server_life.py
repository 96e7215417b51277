"""The life of a server over real gRPC: overload, broken connections, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import grpc
from fake_cloud import cloud, go, until
from fake_decoder import FakeDecoder
from fake_edge import hello, main, side

from common.stream.messages import Goodbye, Role, Status, Welcome


def test_a_place_that_is_taken_is_refused_and_free_again_later() -> None:
    async def check() -> None:
        async with cloud() as c:
            first = c.edge()
            await first.open(hello())
            for role in Role:
                late = c.edge()
                await late.open(hello(role))
                assert late.fault is not None and late.fault.code == 44 and "car-1" in late.fault.message
                assert await late.status() is grpc.StatusCode.ALREADY_EXISTS
            await first.end()
            again = c.edge()
            assert isinstance(await again.open(hello()), Welcome)

    go(check())


def test_too_many_vehicles_are_refused() -> None:
    async def check() -> None:
        async with cloud(max_sessions=2) as c:
            for n in range(3):
                edge = c.edge()
                await edge.open(hello(vehicle=f"car-{n}"))
            assert edge.fault is not None and "2 vehicles" in edge.fault.message
            assert await edge.status() is grpc.StatusCode.RESOURCE_EXHAUSTED

    go(check())


def test_a_connection_that_breaks_keeps_what_was_received_and_may_come_back() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), linger_s=30) as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0), side(1), main(1))
            await until(lambda: c.totals.received == 2)
            await edge.close()
            gate.set()
            await until(lambda: len(c.sink.frames) == 2)
            again = c.edge()
            assert isinstance(await again.open(hello()), Welcome)
            await again.send(side(2), main(2))
            await again.end()
            assert c.totals.sessions == 1
            assert (
                c.sink.events
                == ["car-1:0", "car-1:1", "car-1:2", "close car-1", "close car-1"][: len(c.sink.events)]
            )

    go(check())


def test_a_session_that_nobody_returns_to_is_closed() -> None:
    async def check() -> None:
        async with cloud(linger_s=0.1) as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0))
            await until(lambda: len(c.sink.frames) == 1)
            await edge.close()
            await until(lambda: c.registry.sessions == 0 and "close car-1" in c.sink.events)

    go(check())


def test_half_close_without_end_is_settled_and_named() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0))
            await edge.call.done_writing()
            while await edge.hear() is not None:
                pass
            assert edge.acks[0].status is Status.DECODED
            assert edge.fault is not None and "without an end" in edge.fault.message

    go(check())


def test_shutdown_decodes_what_was_received_within_the_grace() -> None:
    async def check() -> None:
        async with cloud(FakeDecoder(seconds=0.02)) as c:
            edge = c.edge()
            await edge.open(hello())
            for seq in range(20):
                await edge.send(side(seq), main(seq))
            await until(lambda: c.totals.received == 20)
            stopping = asyncio.ensure_future(c.stop(20))
            while await edge.hear() is not None:
                pass
            assert len(edge.acks) == 20 and {a.status for a in edge.acks.values()} == {Status.DECODED}
            assert edge.fault is not None and edge.fault.code == 41
            assert await edge.status() is grpc.StatusCode.UNAVAILABLE
            await stopping
            assert len(c.sink.frames) == 20 and c.sink.events[-1] == "close"

    go(check())


def test_shutdown_drops_what_the_grace_does_not_suffice_for() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate)) as c:
            edge = c.edge()
            await edge.open(hello())
            for seq in range(10):
                await edge.send(side(seq), main(seq))
            await until(lambda: c.totals.received == 10)
            stopping = asyncio.ensure_future(c.stop(0.2))
            while await edge.hear() is not None:
                pass
            assert {seq: (a.status, a.detail) for seq, a in edge.acks.items()} == {
                seq: (Status.DROPPED, "shutdown") for seq in range(10)
            }
            gate.set()
            await stopping
            assert c.totals.as_dict()["reasons"] == {"dropped: shutdown": 10}

    go(check())


def test_no_connection_is_taken_while_closing() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate)) as c:
            edge, late = c.edge(), c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0))
            await until(lambda: c.scheduler._running != [])
            stopping = asyncio.ensure_future(c.stop(10))
            await until(c.registry.closing.is_set)
            await late.open(hello(vehicle="late"))
            assert await late.status() is grpc.StatusCode.UNAVAILABLE
            gate.set()
            await stopping

    go(check())


def test_overload_drops_the_oldest_and_acknowledges_each() -> None:
    from cloud.scheduler import SchedulerLimits

    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), max_batch=1, queue=SchedulerLimits(stream_frames=3)) as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0))
            await until(lambda: c.scheduler._running != [])
            for seq in range(1, 10):
                await edge.send(side(seq), main(seq))
            await until(lambda: c.totals.received == 10 and c.totals.frames[Status.DROPPED] == 6)
            gate.set()
            await edge.end()
            dropped = [seq for seq, ack in sorted(edge.acks.items()) if ack.status is Status.DROPPED]
            assert dropped == [1, 2, 3, 4, 5, 6]
            assert edge.acks[1].detail == "decode queue full"
            assert edge.goodbye == Goodbye(decoded=4, dropped=6, side_received=10)

    go(check())


def test_batches_are_gathered_across_vehicles() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), max_batch=4) as c:
            edges = [c.edge() for _ in range(3)]
            for n, edge in enumerate(edges):
                await edge.open(hello(vehicle=f"car-{n}"))
            await edges[0].send(side(0), main(0))
            await until(lambda: c.scheduler._running != [])
            for n, edge in enumerate(edges):
                for seq in range(1, 7 if n == 0 else 2):
                    await edge.send(side(seq), main(seq))
            await until(lambda: c.scheduler.waiting == 8)
            gate.set()
            for edge in edges:
                await edge.end()
            assert {stream for stream, _ in c.decoder.batches[1]} == {"car-0", "car-1", "car-2"}

    go(check())


def test_calls_that_say_nothing_are_bounded() -> None:
    async def check() -> None:
        async with cloud(max_calls=2) as c:
            silent = [c.edge() for _ in range(2)]
            for edge in silent:
                await edge.call.wait_for_connection()
            one_more = c.edge()
            with contextlib.suppress(grpc.aio.AioRpcError):  # it may be refused before it has said hello
                await one_more.open(hello())
            assert await one_more.status() is grpc.StatusCode.RESOURCE_EXHAUSTED

    go(check())
