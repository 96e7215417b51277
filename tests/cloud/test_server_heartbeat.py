"""Heartbeats, silence, telemetry and a live vehicle that comes back, over real gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import grpc
import pytest
from fake_cloud import cloud, go, until
from fake_decoder import FakeDecoder
from fake_edge import hello, main, new_stream, side

from cloud.scheduler import SchedulerLimits
from cloud.sinks.images import ImageSink
from common.stream.messages import End, Mode, Ping, Pong, Role, Status, Telemetry, Welcome


def test_a_ping_is_answered_at_once_with_three_times() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello())
            before = time.monotonic_ns()
            await edge.send(Ping(12345))
            pong = await edge.hear()
            assert isinstance(pong, Pong) and pong.edge_ns == 12345
            assert before <= pong.received_ns <= pong.sent_ns <= time.monotonic_ns()

    go(check())


@pytest.mark.parametrize("mode", list(Mode))
def test_a_ping_waits_for_no_frame(mode: Mode, tmp_path) -> None:
    """However much the cloud has to do: an edge that keeps to its window hears of its heartbeat."""

    async def check() -> None:
        gate = threading.Event()
        queue, sinks = SchedulerLimits(stream_frames=8), (ImageSink(tmp_path),)
        async with cloud(FakeDecoder(gate=gate), 1, queue=queue, window=8, sinks=sinks) as c:
            edge = c.edge()
            await edge.open(hello(Role.MAIN, mode=mode))
            for seq in range(8):
                await edge.send(main(seq))
            await until(lambda: c.totals.received == 8)
            await edge.send(Ping(7))
            assert isinstance(await asyncio.wait_for(edge.hear(), 5), Pong)
            await edge.send(End(), Ping(8))  # draining may take long: heartbeats go on
            assert isinstance(await asyncio.wait_for(edge.hear(), 5), Pong)
            gate.set()
            await edge.call.done_writing()
            while await edge.hear() is not None:
                pass
            assert edge.goodbye is not None and len(edge.acks) == 8

    go(check())


def test_silence_ends_a_connection_and_heartbeats_keep_it() -> None:
    async def check() -> None:
        async with cloud(silence_s=0.4) as c:
            silent, steady = c.edge(), c.edge()
            await silent.open(hello())
            await steady.open(hello(vehicle="car-2"))
            for n in range(8):
                await steady.send(Ping(n))
                await asyncio.sleep(0.1)
            while await silent.hear() is not None:
                pass
            assert silent.fault is not None and await silent.status() is grpc.StatusCode.DEADLINE_EXCEEDED
            await steady.send(main(0))
            await steady.end()
            assert steady.acks[0].status is Status.DECODED

    go(check())


def test_a_live_vehicle_that_comes_back_takes_its_own_place_and_no_other() -> None:
    async def check() -> None:
        async with cloud() as c:
            stream = new_stream()
            first, stranger, again = c.edge(), c.edge(), c.edge()
            await first.open(hello(stream_id=stream))
            await first.send(side(0), main(0))
            await first.hear()
            await stranger.open(hello())
            assert await stranger.status() is grpc.StatusCode.ALREADY_EXISTS
            narrower = c.edge()
            await narrower.open(hello(Role.MAIN, stream_id=stream))  # the same stream in another role
            assert await narrower.status() is grpc.StatusCode.ALREADY_EXISTS
            assert isinstance(await again.open(hello(stream_id=stream)), Welcome)
            while await first.hear() is not None:
                pass
            assert await first.status() is grpc.StatusCode.ABORTED
            assert first.fault is not None and first.fault.code == 44
            await again.send(side(1), main(1))
            await again.end()
            assert again.acks[1].status is Status.DECODED and c.registry.sessions <= 1
            assert c.totals.sessions == 1

    go(check())


def test_a_side_connection_is_taken_over_alone() -> None:
    async def check() -> None:
        async with cloud() as c:
            stream = new_stream()
            view, old, new = c.edge(), c.edge(), c.edge()
            await view.open(hello(Role.MAIN))
            await old.open(hello(Role.SIDE, stream_id=stream))
            await new.open(hello(Role.SIDE, stream_id=stream))
            await old.hear()
            assert await old.status() is grpc.StatusCode.ABORTED
            await new.send(side(0))
            await until(lambda: c.totals.side_received == 1)
            await view.send(main(0))
            await view.end()
            assert view.acks[0].side.value == "exact"

    go(check())


def test_a_connection_taken_over_while_it_waits_for_its_index() -> None:
    """Two of the same stream at once: one of them is served, and exactly one."""

    async def check() -> None:
        async with cloud() as c:
            stream = new_stream()
            edges = [c.edge() for _ in range(4)]
            await asyncio.gather(*(edge.open(hello(stream_id=stream)) for edge in edges))
            answers = []
            for edge in edges:
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # ended
                    await edge.send(Ping(1))
                while (answer := await edge.hear()) is not None and not isinstance(answer, Pong):
                    pass
                answers.append(answer)
            assert sum(isinstance(answer, Pong) for answer in answers) == 1

    go(check())


def test_telemetry_is_taken_and_counted() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello(Role.MAIN))
            await edge.send(Telemetry(0, 1, "calib", b"12345"), main(0))
            await edge.end()
            said = c.totals.as_dict()
            assert (said["telemetry"], said["telemetry_bytes"]) == (1, 5)
            assert edge.goodbye is not None

    go(check())
