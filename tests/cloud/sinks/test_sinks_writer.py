"""The thread that feeds the sinks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from fake_cloud import MemorySink, go, until

from cloud.sinks.base import Held, Kept, SinkFrame
from cloud.sinks.writer import TELEMETRY_BACKLOG, SinkWriter
from common.bitstream.session import SessionFacts
from common.stream.intervals import Intervals
from common.stream.messages import Mode, Telemetry
from common.types import SideState

KEPT = Kept(SideState.MISSING)


def frame(seq: int, mode: Mode = Mode.LIVE) -> SinkFrame:
    made = SinkFrame("car", "s", seq, 0, SessionFacts(bytes(8), 64, 64), b"p", None, None, SideState.MISSING)
    return replace(made, mode=mode)


class Ledger(MemorySink):
    """A sink that keeps for good; number 13 finds the disk full, number 7 is there already."""

    def __init__(
        self, gate: threading.Event | None = None, numbers: tuple[int, ...] = (), free: int = 0
    ) -> None:
        super().__init__()
        self.gate, self.groups, self.numbers, self.free = gate, [], numbers, free

    def held(self, vehicle: str, stream: bytes) -> Held:
        made = Intervals()
        for number in self.numbers:
            made.add(number)
        return Held(made, self.free)

    def write_group(self, frames: Sequence[SinkFrame]) -> list[Kept | Exception]:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.groups.append([one.seq for one in frames])
        answers: list[Kept | Exception] = [Kept(one.side_state) for one in frames]
        for n, one in enumerate(frames):
            if one.seq == 13:
                answers[n] = OSError(28, "No space left on device")
            elif one.seq == 7:
                answers[n] = Kept(SideState.STALE, again=True)
        return answers


def test_frames_are_written_in_order_before_the_closing() -> None:
    async def check() -> None:
        sink = MemorySink()
        writer = SinkWriter([sink])
        writes = [asyncio.ensure_future(writer.write(frame(seq))) for seq in range(20)]
        await asyncio.sleep(0)
        await writer.close_vehicle("car")
        assert sink.events == [*(f"car:{seq}" for seq in range(20)), "close car"]
        assert await asyncio.gather(*writes) == [KEPT] * 20
        await writer.close()

    go(check())


def test_room_ends_at_the_backlog_and_comes_back() -> None:
    class Slow(MemorySink):
        gate = threading.Event()

        def write(self, one: SinkFrame) -> None:
            self.gate.wait(10)

    async def check() -> None:
        writer = SinkWriter([Slow()], backlog_frames=2)
        await asyncio.wait_for(writer.room(), 1)
        writes = [asyncio.ensure_future(writer.write(frame(seq))) for seq in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(writer.room(), 0.05)
        Slow.gate.set()
        await asyncio.wait_for(writer.room(), 5)
        await asyncio.gather(*writes)
        await writer.close()

    go(check())


def test_one_failing_sink_does_not_stop_the_others() -> None:
    class Broken(MemorySink):
        def write(self, one: SinkFrame) -> None:
            raise ValueError("defect")

        def close(self) -> None:
            raise ValueError("defect")

    async def check() -> None:
        good = MemorySink()
        writer = SinkWriter([Broken(), good])
        assert isinstance(await writer.write(frame(0)), ValueError)
        await writer.close()
        assert good.events == ["car:0", "close"]

    go(check())


def test_no_sink_at_all() -> None:
    async def check() -> None:
        writer = SinkWriter([])
        assert await writer.write(frame(0)) == KEPT and not writer.durable
        assert len((await writer.held("car", bytes(16))).numbers) == 0
        await writer.close()

    go(check())


def test_what_comes_while_the_disk_is_busy_is_one_group() -> None:
    async def check() -> None:
        sink = Ledger(threading.Event())
        writer = SinkWriter([sink])
        writes = [asyncio.ensure_future(writer.write(frame(0, Mode.DURABLE)))]
        await asyncio.sleep(0.05)  # taken into work
        writes += [asyncio.ensure_future(writer.write(frame(seq, Mode.DURABLE))) for seq in range(1, 30)]
        await until(lambda: writer.backlog == 30)
        sink.gate.set()
        answers = await asyncio.gather(*writes)
        assert sink.groups == [[0], list(range(1, 30))]
        assert isinstance(answers[13], OSError) and answers[7] == Kept(SideState.STALE, again=True)
        assert answers[8] == KEPT
        await writer.close()

    go(check())


@pytest.mark.parametrize("mode", list(Mode))
def test_other_sinks_get_a_durable_frame_once_and_only_when_it_is_kept(mode: Mode) -> None:
    async def check() -> None:
        ledger, video = Ledger(), MemorySink()
        writer = SinkWriter([video, ledger])
        for seq in (6, 7, 13):
            await writer.write(frame(seq, mode))
        assert [one.seq for one in video.frames] == ([6] if mode is Mode.DURABLE else [6, 7, 13])
        await writer.close()

    go(check())


def test_a_video_that_fails_costs_a_durable_frame_nothing() -> None:
    class Full(MemorySink):
        def write(self, one: SinkFrame) -> None:
            raise OSError(28, "No space left on device")

    async def check() -> None:
        writer = SinkWriter([Ledger(), Full()])
        assert await writer.write(frame(0, Mode.DURABLE)) == KEPT
        assert isinstance(await writer.write(frame(1)), OSError)
        await writer.close()

    go(check())


def test_with_two_sinks_a_stream_stands_where_the_poorer_one_does() -> None:
    async def check() -> None:
        writer = SinkWriter([Ledger(numbers=(0, 1, 2), free=3), Ledger(numbers=(0,), free=9)])
        held = await writer.held("car", bytes(16))
        assert list(held.numbers) == [(0, 0)] and held.free_seq == 9
        await writer.close()

    go(check())


def test_telemetry_reaches_the_sinks_that_take_it_and_is_bounded() -> None:
    class Records(MemorySink):
        def __init__(self) -> None:
            super().__init__()
            self.records, self.gate = [], threading.Event()

        def write_telemetry(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> None:
            assert self.gate.wait(10)
            if telemetry.seq == 1:
                raise OSError("disk")
            self.records.append((vehicle, stream, telemetry.seq))

    async def check() -> None:
        sink = Records()
        writer = SinkWriter([MemorySink(), sink])
        given = [
            writer.put_telemetry("car", b"s", Telemetry(seq, 0, "oxts", b"x"))
            for seq in range(TELEMETRY_BACKLOG + 2)
        ]
        assert given == [True] * TELEMETRY_BACKLOG + [False] * 2
        sink.gate.set()
        await writer.close()
        assert sink.records == [("car", b"s", seq) for seq in range(TELEMETRY_BACKLOG) if seq != 1]
        assert SinkWriter([]).put_telemetry("car", b"s", Telemetry(0, 0, "oxts", b"x"))

    go(check())


def test_a_disk_that_stays_full_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        writer = SinkWriter([Ledger()])
        for _ in range(50):
            await writer.write(frame(13, Mode.DURABLE))
        writer._quiet_until = 0.0  # five seconds later
        await writer.write(frame(13, Mode.DURABLE))
        await writer.close()

    go(check())
    said = [record.message for record in caplog.records if "not kept" in record.message]
    assert len(said) == 2 and "No space left" in said[0] and "(49 more" in said[1]
