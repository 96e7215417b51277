"""The server over real gRPC, with a decoder without networks."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest
from fake_cloud import cloud, go, until
from fake_decoder import POISON, FakeDecoder
from fake_edge import hello, hevc, main, side

from cloud.pairing import PairingLimits
from cloud.server import StreamServer
from common.errors import PortInUse
from common.pb import ingest_pb2, ingest_pb2_grpc
from common.stream.messages import End, Goodbye, MainFrame, Role, SideFrame, Status, Welcome
from common.types import SideCodec, SideState


def test_both_views_on_one_connection() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            assert isinstance(await edge.open(hello()), Welcome)
            for seq in range(10):
                await edge.send(side(seq), main(seq))
            await edge.end()
            assert sorted(edge.acks) == list(range(10))
            assert {a.status for a in edge.acks.values()} == {Status.DECODED}
            assert {a.side for a in edge.acks.values()} == {SideState.EXACT}
            assert edge.goodbye == Goodbye(decoded=10, side_received=10)
            assert await edge.status() is grpc.StatusCode.OK
            # Each image was made of its own packet and its own side view, and left in order.
            made = [(f.seq, int(f.image[0, 0, 0]), int(f.image[0, 0, 1])) for f in c.sink.frames]
            assert made == [(s, s, s + 10) for s in range(10)]
            assert c.sink.events[-1] == "close car-1"  # complete before the goodbye

    go(check())


def test_two_connections_join_one_session() -> None:
    async def check() -> None:
        async with cloud(pairing=PairingLimits(wait_ns=30_000_000_000)) as c:
            first, second = c.edge(), c.edge()
            welcome = await first.open(hello(Role.MAIN))
            other = await second.open(hello(Role.SIDE, codec=SideCodec.JPEG))
            assert isinstance(welcome, Welcome) and isinstance(other, Welcome)
            assert welcome.session == other.session
            for seq in range(5):
                await first.send(main(seq))
                await second.send(side(seq, suffix=".jpg"))
            await first.end()
            await second.end()
            assert {a.side for a in first.acks.values()} == {SideState.EXACT} and len(first.acks) == 5
            assert second.goodbye == Goodbye(side_received=5)
            assert c.totals.sessions == 1

    go(check())


def test_hevc_side_view() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello(codec=SideCodec.HEVC))
            for frame in hevc(5):
                await edge.send(frame, main(frame.seq))
            await edge.end()
            assert {a.side for a in edge.acks.values()} == {SideState.EXACT}
            greens = [int(f.image[0, 0, 1]) for f in c.sink.frames]
            assert all(abs(g - 20 * i) <= 3 for i, g in enumerate(greens))

    go(check())


def test_main_view_alone_is_decoded_without_side() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello(Role.MAIN))
            await edge.send(main(0), main(1))
            await edge.end()
            assert {(a.status, a.side) for a in edge.acks.values()} == {(Status.DECODED, SideState.MISSING)}
            assert all(f.side is None for f in c.sink.frames)

    go(check())


def test_lost_side_frames_make_stale_ones() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0), main(3), main(40))
            await edge.end()
            assert [edge.acks[s].side for s in (0, 3, 40)] == [
                SideState.EXACT,
                SideState.STALE,
                SideState.MISSING,
            ]

    go(check())


def test_corrupt_packets_fail_one_by_one_and_the_session_goes_on() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello())
            good = main(3)
            damaged = MainFrame(1, 0, main(1).packet[:-1] + b"\xff\xff")
            await edge.send(side(0), main(0), damaged, main(2, POISON, capture_ns=0), good, main(4, b"crash"))
            await edge.end()
            statuses = {seq: ack.status for seq, ack in edge.acks.items()}
            assert statuses == {
                0: Status.DECODED,
                1: Status.FAILED,
                2: Status.FAILED,
                3: Status.DECODED,
                4: Status.FAILED,
            }
            assert "checksum" in edge.acks[1].detail and "poisoned" in edge.acks[2].detail
            assert edge.acks[4].detail == "internal error"  # a defect's text stays with us
            assert edge.goodbye == Goodbye(decoded=2, failed=3, side_received=1)

    go(check())


@pytest.mark.parametrize(
    ("message", "status", "code", "words"),
    [
        (hello(bundle_id=b"another!"), grpc.StatusCode.FAILED_PRECONDITION, 26, b"another!".hex()),
        (hello(wire_version=9), grpc.StatusCode.FAILED_PRECONDITION, 25, "9"),
        (hello(height=20), grpc.StatusCode.INVALID_ARGUMENT, 43, "20x96"),
        (hello(height=8192), grpc.StatusCode.INVALID_ARGUMENT, 43, "8192"),
        (hello(vehicle="../../etc"), grpc.StatusCode.INVALID_ARGUMENT, 43, "../../etc"),
        (main(0), grpc.StatusCode.INVALID_ARGUMENT, 43, "MainFrame"),
    ],
)
def test_a_bad_first_message_is_refused_with_one_clear_line(message, status, code, words) -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(message)
            assert edge.fault is not None and edge.fault.code == code and words in edge.fault.message
            assert await edge.status() is status
            assert c.registry.sessions == 0

    go(check())


def test_silence_instead_of_a_hello_ends() -> None:
    async def check() -> None:
        async with cloud(hello_timeout_s=0.2) as c:
            edge = c.edge()
            await edge.hear()
            assert edge.fault is not None and edge.fault.code == 43
            assert await edge.status() is grpc.StatusCode.DEADLINE_EXCEEDED

    go(check())


def test_an_empty_message_is_a_violation() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.call.write(ingest_pb2.Uplink())
            await edge.hear()
            assert await edge.status() is grpc.StatusCode.INVALID_ARGUMENT

    go(check())


@pytest.mark.parametrize(
    ("role", "bad", "words"),
    [
        (Role.BOTH, hello(), "second hello"),
        (Role.BOTH, main(0), "main frame 0 after 5"),
        (Role.BOTH, side(0), "side frame 0 after 5"),
        (Role.SIDE, main(9), "announced none"),
        (Role.MAIN, side(9), "announced none"),
    ],
)
def test_violations_end_the_connection_and_keep_what_was_sent(role, bad, words) -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello(role))
            await edge.send(*([side(5)] if role.has_side else []), *([main(5)] if role.has_main else []), bad)
            while await edge.hear() is not None:
                pass
            assert edge.fault is not None and words in edge.fault.message
            assert await edge.status() is grpc.StatusCode.INVALID_ARGUMENT
            await until(lambda: len(c.sink.frames) == int(role.has_main))

    go(check())


def test_a_frame_after_the_end_is_a_violation() -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate)) as c:
            edge = c.edge()
            await edge.open(hello())
            await edge.send(side(0), main(0), End(), main(1))
            while await edge.hear() is not None:
                pass
            assert edge.fault is not None and "after the end" in edge.fault.message
            gate.set()
            await until(lambda: len(c.sink.frames) == 1)

    go(check())


def test_a_side_image_bomb_is_refused_before_decoding() -> None:
    async def check() -> None:
        async with cloud() as c:
            edge = c.edge()
            await edge.open(hello())
            bomb = bytearray(side(0).data)
            bomb[21:25] = (0x3FFF | 0x3FFF << 14).to_bytes(4, "little")  # says 16384x16384
            await edge.send(SideFrame(0, 0, bytes(bomb)), main(0), side(1), main(1))
            await edge.end()
            assert c.totals.sides_lost == {"FrameSizeError": 1}
            assert edge.acks[0].status is Status.DECODED and edge.acks[0].side is not SideState.EXACT
            assert edge.acks[1].side is SideState.EXACT

    go(check())


def test_health_and_reflection_answer() -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    async def check() -> None:
        async with cloud() as c, grpc.aio.insecure_channel(c.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", "mdic.stream.v1.Ingest"):
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            ask = reflection_pb2.ServerReflectionRequest(list_services="")
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
            names = {s.name async for reply in call for s in reply.list_services_response.service}
            assert "mdic.stream.v1.Ingest" in names and "grpc.health.v1.Health" in names

    go(check())


def test_a_message_over_the_limit_is_refused_unread() -> None:
    async def check() -> None:
        # A client without a send limit of its own.
        async with cloud() as c, grpc.aio.insecure_channel(c.address) as channel:
            call = ingest_pb2_grpc.IngestStub(channel).Push()
            huge = ingest_pb2.Uplink(main=ingest_pb2.MainFrame(packet=bytes(17 << 20)))
            with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
                await call.write(huge)
                await call.read()
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    go(check())


def test_port_in_use() -> None:
    async def check() -> None:
        async with cloud() as c:
            port = int(c.address.rpartition(":")[2])
            with pytest.raises(PortInUse, match=str(port)):
                StreamServer().bind("127.0.0.1", port)

    go(check())
