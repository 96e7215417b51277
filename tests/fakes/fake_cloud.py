"""The real server with a decoder without networks, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fake_decoder import BUNDLE_ID, FakeDecoder
from fake_edge import Edge

from cloud.engine.base import Engine
from cloud.engine.local import LocalEngine
from cloud.mainview import MAX_IN_FLIGHT, Rooms
from cloud.pairing import PairingLimits
from cloud.registry import Registry, RegistryLimits
from cloud.scheduler import Scheduler, SchedulerLimits
from cloud.server import Ingest, StreamServer
from cloud.sinks.base import Sink, SinkFrame
from cloud.sinks.writer import SinkWriter
from cloud.temporal.stage import TemporalStage
from cloud.totals import Totals


class MemorySink:
    """Keep frames and closings in order."""

    def __init__(self) -> None:
        self.frames: list[SinkFrame] = []
        self.events: list[str] = []

    def write(self, frame: SinkFrame) -> None:
        self.frames.append(frame)
        self.events.append(f"{frame.vehicle}:{frame.seq}")

    def close_vehicle(self, vehicle: str) -> None:
        self.events.append(f"close {vehicle}")

    def close(self) -> None:
        self.events.append("close")


class Cloud:
    """Everything a test may want to look at."""

    def __init__(self, decoder: FakeDecoder, engine: Engine, sinks: list[Sink], **settings: Any) -> None:
        self.decoder, self.engine = decoder, engine
        self.sink = MemorySink()
        self.totals = Totals()
        self.writer = SinkWriter([self.sink, *sinks])
        self.threads = ThreadPoolExecutor(2)
        self.temporal = TemporalStage() if settings.get("temporal") else None
        queue = settings.get("queue", SchedulerLimits())
        self.scheduler = Scheduler(engine, queue, self.writer.room, temporal=self.temporal)
        pairing = settings.get("pairing", PairingLimits(wait_ns=1_000_000_000))
        rooms = Rooms(
            self.scheduler,
            self.writer,
            self.threads,
            self.totals,
            pairing,
            settings.get("steps"),
            settings.get("window", MAX_IN_FLIGHT),
        )
        limits = RegistryLimits(settings.get("max_sessions", 8), settings.get("linger_s", 0.2))
        self.registry = Registry(rooms, settings.get("bundle_id", BUNDLE_ID), limits)
        self.ingest = Ingest(
            self.registry,
            hello_timeout_s=settings.get("hello_timeout_s", 5.0),
            silence_s=settings.get("silence_s", 60.0),
        )
        self.server = StreamServer(settings.get("max_calls", 100), settings.get("guard"))
        self.credentials = settings.get("credentials")
        self.address = ""
        self.edges: list[Edge] = []
        self.stopped = False

    def edge(self) -> Edge:
        self.edges.append(Edge(self.address))
        return self.edges[-1]

    async def start(self) -> None:
        self.address = f"127.0.0.1:{self.server.bind('127.0.0.1', 0, self.credentials)}"
        self.work = asyncio.ensure_future(self.scheduler.run())
        await self.server.start(self.registry, self.ingest)

    async def stop(self, grace_s: float = 5.0) -> None:
        if self.stopped:
            return
        self.stopped = True
        await self.server.stop(grace_s)
        self.work.cancel()
        if self.decoder.gate is not None:
            self.decoder.gate.set()
        await self.engine.close()
        if self.temporal is not None:
            await self.temporal.close()
        await self.writer.close()
        self.threads.shutdown()


@contextlib.asynccontextmanager
async def cloud(
    decoder: FakeDecoder | None = None,
    max_batch: int = 4,
    engine: Engine | None = None,
    sinks: tuple[Sink, ...] = (),
    **settings: Any,
) -> AsyncIterator[Cloud]:
    """Serve with a fake decoder on a free port."""
    decoder = decoder or FakeDecoder()
    engine = engine or LocalEngine(decoder, max_batch, convert=PlainRequest)  # type: ignore[arg-type]
    made = Cloud(decoder, engine, list(sinks), **settings)
    await made.start()
    try:
        yield made
    finally:
        for edge in made.edges:
            await edge.close()
        await made.stop(1.0)


class PlainRequest:
    """The attributes of a DecodeRequest without importing torch."""

    def __init__(self, request: Any) -> None:
        self.packet, self.side, self.previous = request.packet, request.side, request.previous
        self.height, self.width = request.facts.height, request.facts.width
        self.stream, self.frame, self.steps = request.stream, request.frame, request.steps


def go(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; a hang fails instead of blocking."""
    asyncio.run(asyncio.wait_for(work, 120))


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until something becomes true."""
    for _ in range(round(timeout_s / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")
