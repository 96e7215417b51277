"""One vehicle's session without a network."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from fake_cloud import MemorySink, cloud, go, until
from fake_decoder import FakeDecoder
from fake_edge import STEP_NS, coded, hello, hevc, main, picture, side

from cloud.pairing import PairingLimits
from common.errors import ProtocolViolation
from common.stream.messages import Role, SideFrame, Status
from common.types import SideCodec, SideState


async def answers(connection) -> dict[int, object]:
    await connection.settled()
    found = {}
    while not connection.outbox.empty():
        ack = connection.outbox.get_nowait()
        found[ack.seq] = ack
    return found


def test_a_main_frame_waits_for_a_late_side_view_and_no_longer() -> None:
    async def check() -> None:
        async with cloud(pairing=PairingLimits(wait_ns=1_500_000_000)) as c:
            session, connection = await c.registry.join(hello())
            session.take_main(connection, main(0))
            await asyncio.sleep(0.05)
            await session.take_side(connection, side(0))
            session.take_main(connection, main(9))
            acks = await answers(connection)
            assert acks[0].side is SideState.EXACT
            assert acks[9].side is SideState.STALE and acks[9].queue_ms >= 1400

    go(check())


def test_seed_is_vehicle_and_number_and_steps_are_passed_on() -> None:
    async def check() -> None:
        async with cloud(steps=7) as c:
            session, connection = await c.registry.join(hello(Role.MAIN, vehicle="car-x"))
            session.take_main(connection, main(41))
            await session.end(connection)
            assert c.decoder.batches == [[("car-x", 41)]]
            assert c.sink.frames[0].image[0, 0, 2] == 7

    go(check())


def test_acks_carry_number_time_and_delays() -> None:
    async def check() -> None:
        async with cloud(FakeDecoder(seconds=0.02)) as c:
            session, connection = await c.registry.join(hello())
            await session.take_side(connection, side(4))
            session.take_main(connection, main(4))
            (ack,) = (await answers(connection)).values()
            assert (ack.seq, ack.capture_ns, ack.status) == (4, 4 * STEP_NS, Status.DECODED)
            assert ack.decode_ms >= 20 and ack.queue_ms >= 0

    go(check())


def test_undecoded_mains_are_bounded() -> None:
    async def check() -> None:
        limits = PairingLimits(wait_ns=60_000_000_000, max_waiting=3)
        async with cloud(pairing=limits) as c:
            session, connection = await c.registry.join(hello())
            for seq in range(5):
                session.take_main(connection, main(seq))
            dropped = [connection.outbox.get_nowait() for _ in range(2)]
            assert [(a.seq, a.status, a.detail) for a in dropped] == [
                (0, Status.DROPPED, "pairing queue full"),
                (1, Status.DROPPED, "pairing queue full"),
            ]
            await session.flush()
            await answers(connection)

    go(check())


def test_a_sink_that_fails_makes_the_frame_fail() -> None:
    class Full(MemorySink):
        def write(self, frame) -> None:
            raise OSError(28, "No space left on device")

    async def check() -> None:
        async with cloud(sinks=(Full(),)) as c:
            session, connection = await c.registry.join(hello(Role.MAIN))
            session.take_main(connection, main(0))
            await session.end(connection)
            (ack,) = (await answers(connection)).values()
            assert ack.status is Status.FAILED and "No space left" in ack.detail
            assert len(c.sink.frames) == 1  # the other sink has it
            assert c.totals.as_dict()["reasons"] == {"failed: sink": 1}

    go(check())


def test_lost_hevc_reference_waits_for_the_next_keyframe() -> None:
    async def check() -> None:
        async with cloud() as c:
            session, connection = await c.registry.join(hello(codec=SideCodec.HEVC))
            frames = hevc(3) + hevc(2, start=3)
            for frame in (frames[0], frames[2], frames[3], frames[4]):
                await session.take_side(connection, frame)
            for seq in range(5):
                session.take_main(connection, main(seq))
            await session.end(connection)
            acks = await answers(connection)
            assert [acks[s].side.value for s in range(5)] == ["exact", "stale", "stale", "exact", "exact"]
            assert c.totals.sides_lost == {"CorruptPayload": 1}

    go(check())


def test_side_view_of_another_size_than_the_main_view_is_allowed() -> None:
    async def check() -> None:
        async with cloud() as c:
            session, connection = await c.registry.join(hello(side_height=128, side_width=160))
            await session.take_side(connection, SideFrame(0, 0, coded(picture(9, 128, 160))))
            session.take_main(connection, main(0))
            await session.end(connection)
            assert c.sink.frames[0].side.shape == (128, 160, 3)

    go(check())


def test_frames_for_the_wrong_role_are_violations() -> None:
    async def check() -> None:
        async with cloud() as c:
            session, only_main = await c.registry.join(hello(Role.MAIN))
            _, only_side = await c.registry.join(hello(Role.SIDE))
            with pytest.raises(ProtocolViolation):
                session.take_main(only_side, main(0))
            with pytest.raises(ProtocolViolation):
                await session.take_side(only_main, side(0))

    go(check())


def test_another_frame_size_after_a_break_starts_another_recording() -> None:
    async def check() -> None:
        async with cloud(linger_s=5) as c:
            session, connection = await c.registry.join(hello(Role.MAIN))
            session.take_main(connection, main(0))
            await connection.settled()
            c.registry.leave(session, connection)
            await c.registry.join(hello(Role.MAIN, height=128))
            assert c.sink.events == ["car-1:0", "close car-1"]

    go(check())


def test_a_slow_side_decoder_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A side view received in time counts as exact even if decoding it takes longer than the wait."""
    gate = threading.Event()

    class Slow:
        def decode(self, packet):
            from cloud.pairing import SideView

            gate.wait(10)
            return [SideView(packet.capture_ns, np.zeros((64, 96, 3), np.uint8))]

        def flush(self):
            return []

    monkeypatch.setattr("cloud.sessions.open_side_decoder", lambda *_: Slow())

    async def check() -> None:
        async with cloud(pairing=PairingLimits(wait_ns=50_000_000)) as c:
            session, connection = await c.registry.join(hello())
            await session.take_side(connection, side(0))
            session.take_main(connection, main(0))
            await asyncio.sleep(0.3)
            assert c.totals.frames[Status.DECODED] == 0
            gate.set()
            await until(lambda: c.totals.frames[Status.DECODED] == 1)
            assert (await answers(connection))[0].side is SideState.EXACT

    go(check())
