"""Micro-batches: fairness, bounds, failures, draining."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from fake_cloud import go, until
from fake_drive import drive_frame

from cloud.engine.base import EngineRequest, EngineResult
from cloud.scheduler import LATE, QUEUE_FULL, SHUTDOWN, Job, Outcome, Scheduler, SchedulerLimits
from cloud.temporal.stage import TemporalStage
from cloud.temporal.stream import TemporalFusion
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload, MdicError

FACTS = SessionFacts(bytes(8), 64, 64)


class Engine:
    name = "test"

    def __init__(self, max_batch: int = 4, wants_previous: bool = False) -> None:
        self.max_batch, self.wants_previous = max_batch, wants_previous
        self.batches: list[list[EngineRequest]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer = lambda r: EngineResult(np.full((64, 64, 3), r.frame, np.uint8))

    async def decode(self, batch: Sequence[EngineRequest]) -> list[EngineResult | MdicError]:
        self.batches.append(list(batch))
        await self.gate.wait()
        return [self.answer(request) for request in batch]

    async def close(self) -> None: ...

    @property
    def seen(self) -> list[list[tuple[str, int]]]:
        return [[(r.stream, r.frame) for r in batch] for batch in self.batches]


class Desk:
    """Submit jobs and note their outcomes."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.outcomes: dict[tuple[str, int], Outcome] = {}

    def submit(self, stream: str, frame: int, side_bytes: int = 0, packet: bytes = b"abc", **more) -> None:
        side = np.zeros((side_bytes // 3, 1, 3), np.uint8) if side_bytes else None
        request = EngineRequest(packet, FACTS, side=side, stream=stream, frame=frame)

        def settle(outcome: Outcome) -> None:
            assert (stream, frame) not in self.outcomes, "settled twice"
            self.outcomes[stream, frame] = outcome

        self.scheduler.submit(Job(request, settle, **more))

    @property
    def dropped(self) -> list[tuple[str, int]]:
        return [key for key, outcome in self.outcomes.items() if outcome.dropped]


def test_batches_take_streams_in_turn() -> None:
    async def check() -> None:
        engine = Engine(max_batch=4)
        desk = Desk(Scheduler(engine))
        for frame in range(8):
            desk.submit("greedy", frame)
        desk.submit("a", 0)
        desk.submit("b", 0)
        work = asyncio.ensure_future(desk.scheduler.run())
        await desk.scheduler.drain(5)
        work.cancel()
        assert engine.seen[0] == [("greedy", 0), ("a", 0), ("b", 0), ("greedy", 1)]
        assert [len(batch) for batch in engine.seen] == [4, 4, 2]
        assert len(desk.outcomes) == 10 and all(o.result for o in desk.outcomes.values())
        assert desk.outcomes["a", 0].batch == 4 and desk.outcomes["a", 0].decode_ms >= 0

    go(check())


def test_a_batch_waits_a_moment_for_company() -> None:
    async def check() -> None:
        engine = Engine()
        desk = Desk(Scheduler(engine, SchedulerLimits(gather_ms=1000)))
        work = asyncio.ensure_future(desk.scheduler.run())
        desk.submit("a", 0)
        await asyncio.sleep(0.02)
        desk.submit("b", 0)
        await desk.scheduler.drain(5)
        work.cancel()
        assert engine.seen == [[("a", 0), ("b", 0)]]

    go(check())


def test_full_queue_drops_its_own_oldest() -> None:
    async def check() -> None:
        desk = Desk(Scheduler(Engine(), SchedulerLimits(stream_frames=2)))
        desk.submit("b", 0)
        for frame in range(4):
            desk.submit("a", frame)
        assert desk.dropped == [("a", 0), ("a", 1)]
        assert {o.dropped for o in desk.outcomes.values()} == {QUEUE_FULL}
        assert desk.scheduler.waiting == 3

    go(check())


def test_bytes_are_bounded_per_stream_and_in_all() -> None:
    async def check() -> None:
        desk = Desk(Scheduler(Engine(), SchedulerLimits(stream_bytes=1000, total_bytes=1800)))
        for frame in range(4):
            desk.submit("a", frame, side_bytes=450)
        assert desk.dropped == [("a", 0), ("a", 1)]
        desk.submit("b", 0, side_bytes=600)
        assert desk.scheduler.waiting_bytes == 2 * 453 + 603
        desk.submit("c", 0, side_bytes=600)  # the stream that holds most gives up
        assert desk.dropped == [("a", 0), ("a", 1), ("a", 2)]
        desk.submit("d", 0, side_bytes=3000)  # larger than every bound, yet the newest: alone it may stay
        assert desk.scheduler.waiting_bytes <= 3003

    go(check())


def test_one_error_and_one_result_in_a_batch() -> None:
    async def check() -> None:
        engine = Engine()
        engine.answer = lambda r: CorruptPayload("x") if r.frame == 1 else EngineResult(None)
        desk = Desk(Scheduler(engine))
        work = asyncio.ensure_future(desk.scheduler.run())
        for frame in range(3):
            desk.submit("a", frame)
        await desk.scheduler.drain(5)
        work.cancel()
        assert isinstance(desk.outcomes["a", 1].error, CorruptPayload)
        assert desk.outcomes["a", 0].result is not None and desk.outcomes["a", 2].result is not None

    go(check())


@pytest.mark.parametrize("kind", ["raises", "short"])
def test_a_broken_engine_fails_its_batch_and_not_the_server(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        engine = Engine(max_batch=1)
        good = engine.decode

        async def bad(batch: Sequence[EngineRequest]) -> list[EngineResult | MdicError]:
            engine.decode = good  # type: ignore[method-assign]
            if kind == "short":
                return []
            raise ZeroDivisionError("secret")

        engine.decode = bad  # type: ignore[method-assign,assignment]
        desk = Desk(Scheduler(engine))
        work = asyncio.ensure_future(desk.scheduler.run())
        desk.submit("a", 0)
        desk.submit("a", 1)
        await desk.scheduler.drain(5)
        work.cancel()
        assert str(desk.outcomes["a", 0].error) == "internal error"
        assert desk.outcomes["a", 1].result is not None

    go(check())


def test_previous_frame_travels_along_when_the_engine_wants_it() -> None:
    async def check() -> None:
        engine = Engine(wants_previous=True)
        desk = Desk(Scheduler(engine))
        for frame in (5, 6, 7):
            desk.submit("a", frame)
        desk.submit("b", 9)
        work = asyncio.ensure_future(desk.scheduler.run())
        await desk.scheduler.drain(5)
        assert engine.seen == [[("a", 5), ("b", 9)], [("a", 6)], [("a", 7)]]
        previous = [batch[0].previous for batch in engine.batches]
        assert previous[0] is None and previous[1] is not None and previous[1][0, 0, 0] == 5
        desk.scheduler.forget("a")
        desk.submit("a", 8)
        await desk.scheduler.drain(5)
        work.cancel()
        assert engine.batches[-1][0].previous is None

    go(check())


def test_frames_of_a_stream_are_fused_in_order_however_they_are_batched() -> None:
    async def check() -> None:
        engine, stage = Engine(max_batch=4), TemporalStage()

        def drive(request: EngineRequest) -> EngineResult:
            frame = drive_frame(request.frame)
            return EngineResult(frame.image, frame.mask, frame.disparity)

        engine.answer = drive
        desk = Desk(Scheduler(engine, temporal=stage))
        for frame in range(5):
            desk.submit("a", frame)
        desk.submit("b", 0)
        work = asyncio.ensure_future(desk.scheduler.run())
        await desk.scheduler.drain(30)
        assert [len(batch) for batch in engine.seen] == [4, 2]
        results = {key: outcome.result for key, outcome in desk.outcomes.items()}
        fusion = TemporalFusion()
        for number in range(5):
            expected = fusion.step(drive_frame(number), number, 0)
            result = results["a", number]
            assert result is not None and np.array_equal(result.image, expected.image)
            assert result.temporal == fusion.share
        assert results["b", 0] is not None and results["b", 0].temporal == 0
        desk.scheduler.forget("a")
        assert stage.streams == 1
        work.cancel()
        await stage.close()

    go(check())


def test_draining_ends_at_its_timeout_and_settles_everything_once() -> None:
    async def check() -> None:
        engine = Engine(max_batch=2)
        engine.gate.clear()
        desk = Desk(Scheduler(engine))
        work = asyncio.ensure_future(desk.scheduler.run())
        for frame in range(5):
            desk.submit("a", frame)
        await until(lambda: len(engine.batches) == 1)
        await desk.scheduler.drain(0.05)
        assert len(desk.outcomes) == 5 and {o.dropped for o in desk.outcomes.values()} == {SHUTDOWN}
        engine.gate.set()  # the batch in progress comes back: its frames were told already
        await asyncio.sleep(0.05)
        work.cancel()
        assert len(desk.outcomes) == 5

    go(check())


def test_gate_holds_decoding_back() -> None:
    async def check() -> None:
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        engine = Engine()
        desk = Desk(Scheduler(engine, gate=wait))
        work = asyncio.ensure_future(desk.scheduler.run())
        desk.submit("a", 0)
        await asyncio.sleep(0.05)
        assert engine.batches == []
        gate.set()
        await desk.scheduler.drain(5)
        work.cancel()
        assert len(engine.batches) == 1

    go(check())


def test_durable_frames_make_room_for_nobody() -> None:
    async def check() -> None:
        desk = Desk(Scheduler(Engine(), SchedulerLimits(stream_frames=2, total_bytes=1000)))
        for frame in range(4):
            desk.submit("d", frame, durable=True)
        assert desk.dropped == [] and desk.scheduler.waiting == 4
        desk.submit("live", 0, side_bytes=600)
        desk.submit("d", 4, side_bytes=900, durable=True)
        assert desk.dropped == [("live", 0)]  # the durable stream holds more, and keeps it
        desk.submit("d", 5)
        assert desk.dropped == [("live", 0), ("d", 5)]  # only what is not durable itself can go
        assert desk.scheduler.waiting == 5 and desk.scheduler.waiting_bytes == 4 * 3 + 903
        desk.scheduler.drop_all(SHUTDOWN)
        assert len(desk.outcomes) == 7 and desk.scheduler.waiting == desk.scheduler.waiting_bytes == 0

    go(check())


@pytest.mark.parametrize("limits", [{"stream_frames": 2}, {"stream_bytes": 6}, {"total_bytes": 6}])
def test_room_is_waited_for_while_a_stream_is_crowded(limits: dict[str, int]) -> None:
    async def check() -> None:
        engine = Engine(max_batch=1)
        engine.gate.clear()
        desk = Desk(Scheduler(engine, SchedulerLimits(**limits)))
        await asyncio.wait_for(desk.scheduler.room("d"), 1)
        for frame in range(2):
            desk.submit("d", frame, durable=True)
        assert desk.scheduler.crowded("d") and not desk.scheduler.crowded("other")
        room = asyncio.ensure_future(desk.scheduler.room("d"))
        await asyncio.sleep(0.01)
        assert not room.done()
        work = asyncio.ensure_future(desk.scheduler.run())  # takes one into work
        await asyncio.wait_for(room, 5)
        engine.gate.set()
        await desk.scheduler.drain(5)
        work.cancel()
        assert desk.scheduler.waiting_of("d") == 0

    go(check())


def test_a_frame_past_its_deadline_is_not_decoded() -> None:
    async def check() -> None:
        now = [0]
        engine = Engine(max_batch=2)
        desk = Desk(Scheduler(engine, now_ns=lambda: now[0]))
        desk.submit("a", 0, due_ns=10)
        desk.submit("a", 1, due_ns=12)
        desk.submit("a", 2)
        desk.submit("a", 3, due_ns=1000)
        now[0] = 11
        work = asyncio.ensure_future(desk.scheduler.run())
        await until(lambda: len(desk.outcomes) == 4)
        work.cancel()
        assert [key for key in desk.dropped] == [("a", 0)] and desk.outcomes["a", 0].dropped == LATE
        assert desk.outcomes["a", 0].started_ns == 11
        assert engine.seen == [[("a", 1), ("a", 2)], [("a", 3)]]

    go(check())
