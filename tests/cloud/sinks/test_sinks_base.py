"""Sinks by name, and the thread that feeds them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from fake_cloud import MemorySink, go

from cloud.sinks.base import SinkFrame, SinkWriter, open_sink
from cloud.sinks.images import ImageSink
from cloud.sinks.video import VideoSink
from common.bitstream.session import SessionFacts
from common.errors import UsageError
from common.types import SideState


def frame(seq: int) -> SinkFrame:
    return SinkFrame("car", "s", seq, 0, SessionFacts(bytes(8), 64, 64), b"p", None, None, SideState.MISSING)


def test_kinds(tmp_path: Path) -> None:
    assert isinstance(open_sink(f"images:{tmp_path / 'a'}"), ImageSink)
    assert isinstance(open_sink(f"video:{tmp_path / 'v.mp4'}"), VideoSink)


@pytest.mark.parametrize("spec", ["", "images", "images:", "mcap:x", "video:x.gif", "images:/proc/nowhere"])
def test_bad_specifications_name_themselves(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(spec)
    assert spec.partition(":")[2] in str(caught.value)


def test_frames_are_written_in_order_before_the_closing() -> None:
    async def check() -> None:
        sink = MemorySink()
        writer = SinkWriter([sink])
        writes = [asyncio.ensure_future(writer.write(frame(seq))) for seq in range(20)]
        await asyncio.sleep(0)
        await writer.close_vehicle("car")
        assert sink.events == [*(f"car:{seq}" for seq in range(20)), "close car"]
        assert await asyncio.gather(*writes) == [None] * 20
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
        assert "Broken" in (await writer.write(frame(0)) or "")
        await writer.close()
        assert good.events == ["car:0", "close"]

    go(check())


def test_no_sink_at_all() -> None:
    async def check() -> None:
        writer = SinkWriter([])
        assert await writer.write(frame(0)) is None
        await writer.close()

    go(check())
