"""The thread that feeds the sinks: it takes whatever has come meanwhile as one group."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from cloud.sinks.base import DurableSink, Held, Kept, Sink, SinkFrame, TelemetrySink
from common.stream.intervals import Intervals
from common.stream.messages import Mode, Telemetry

LOG = logging.getLogger(__name__)

BACKLOG_FRAMES = 32
"""Decoded frames that may wait for the sinks before decoding waits too."""
GROUP_FRAMES = 64
"""Frames of one group: a group shares the syncs of its folders and indexes."""
TELEMETRY_BACKLOG = 256
_QUIET_S = 5.0

_Answer: TypeAlias = Kept | Exception


class SinkWriter:
    """Feed sinks from the event loop through one thread, in order."""

    def __init__(self, sinks: Sequence[Sink], backlog_frames: int = BACKLOG_FRAMES) -> None:
        self._durable = [sink for sink in sinks if isinstance(sink, DurableSink)]
        self._plain = [sink for sink in sinks if not isinstance(sink, DurableSink)]
        self._telemetry = [sink for sink in sinks if isinstance(sink, TelemetrySink)]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sinks")
        self._openers = ThreadPoolExecutor(2, thread_name_prefix="sink-open")
        self._backlog_frames = backlog_frames
        self._backlog = 0
        self._records = 0
        self._room = asyncio.Event()
        self._room.set()
        self._waiting: deque[tuple[SinkFrame | Callable[[], None], Callable[[_Answer | None], None]]] = (
            deque()
        )
        self._working = False
        self._quiet_until, self._unsaid = 0.0, 0
        self._lock = threading.Lock()  # guards the two above

    @property
    def durable(self) -> bool:
        """Tell whether there is a sink that keeps frames for good."""
        return bool(self._durable)

    @property
    def backlog(self) -> int:
        """Count the frames given and not yet kept."""
        return self._backlog

    async def room(self) -> None:
        """Wait until another frame may come."""
        await self._room.wait()

    async def held(self, vehicle: str, stream: bytes) -> Held:
        """Return what every durable sink holds of a stream; reads the vehicle's index if nobody did.

        Raises:
            OSError: a sink cannot be used at present.
        """
        loop = asyncio.get_running_loop()
        told = [
            await loop.run_in_executor(self._openers, sink.held, vehicle, stream) for sink in self._durable
        ]
        if not told:
            return Held(Intervals())
        # With more than one, what the first lacks has to come again: the others leave what they have alone.
        fewest = min(told, key=lambda held: len(held.numbers))
        return Held(fewest.numbers, max(held.free_seq for held in told))

    def put(self, frame: SinkFrame, done: Callable[[Kept | Exception], None]) -> None:
        """Give `frame` to every sink; `done` is called in the event loop with what was kept, or what went wrong."""
        if not self._durable and not self._plain:
            done(Kept(frame.side_state))
            return
        self._backlog += 1
        self._update()

        def tell(answer: _Answer | None) -> None:
            self._backlog -= 1
            self._update()
            done(answer or Kept(frame.side_state))

        self._give(frame, tell)

    async def write(self, frame: SinkFrame) -> Kept | Exception:
        """Give `frame` to every sink; return what was kept, or what went wrong."""
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self.put(frame, lambda answer: None if future.done() else future.set_result(answer))
        return await future

    def put_telemetry(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> bool:
        """Give a record to the sinks that take them; return False when too many wait already."""
        if self._records >= TELEMETRY_BACKLOG:
            return False
        if self._telemetry:
            self._records += 1
            self._give(lambda: self._record(vehicle, stream, telemetry), self._recorded)
        return True

    async def close_vehicle(self, vehicle: str) -> None:
        """Complete the recordings of one vehicle, after its frames given so far."""
        await self._do(lambda: self._close(vehicle))

    async def close(self) -> None:
        """Complete every recording and end the thread."""
        await self._do(lambda: self._close(None))
        self._thread.shutdown()
        self._openers.shutdown()

    def _update(self) -> None:
        if self._backlog >= self._backlog_frames:
            self._room.clear()
        else:
            self._room.set()

    def _recorded(self, _: _Answer | None) -> None:
        self._records -= 1

    async def _do(self, call: Callable[[], None]) -> None:
        done = asyncio.Event()
        self._give(call, lambda _: done.set())
        await done.wait()

    def _give(self, what: SinkFrame | Callable[[], None], tell: Callable[[_Answer | None], None]) -> None:
        with self._lock:
            self._waiting.append((what, tell))
            if self._working:
                return
            self._working = True
        self._thread.submit(self._work, asyncio.get_running_loop())

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write groups until nothing waits; in the writer's thread."""
        while True:
            group: list[SinkFrame] = []
            tells: list[Callable[[_Answer | None], None]] = []
            call: Callable[[], None] | None = None
            with self._lock:
                while self._waiting and len(group) < GROUP_FRAMES:
                    what = self._waiting[0][0]
                    if not isinstance(what, SinkFrame):
                        if not group:
                            call = what
                            tells.append(self._waiting.popleft()[1])
                        break
                    group.append(what)
                    tells.append(self._waiting.popleft()[1])
                if not tells:
                    self._working = False
                    return
            answers: Sequence[_Answer | None] = [None] * len(tells)
            try:
                if call is not None:
                    call()
                else:
                    answers = self._write(group)
            except Exception as error:  # a defect: whoever waits must hear of it
                LOG.exception("writing to the sinks failed")
                answers = [error] * len(tells)
            loop.call_soon_threadsafe(_tell, tells, answers)

    def _write(self, group: Sequence[SinkFrame]) -> list[_Answer]:
        answers: list[_Answer] = [Kept(frame.side_state) for frame in group]
        for lasting in self._durable:
            for n, answer in enumerate(lasting.write_group(group)):
                if isinstance(answer, Exception):
                    answers[n] = self._problem(lasting, group[n], answer)
                elif isinstance(answers[n], Kept):
                    answers[n] = answer
        for sink in self._plain:
            for n, frame in enumerate(group):
                durable, before = frame.mode is Mode.DURABLE, answers[n]
                if durable and (isinstance(before, Exception) or before.again):
                    continue  # it will come again, or has been here
                try:
                    sink.write(frame)
                except Exception as error:  # a full disk, or a defect of one sink, must not stop the others
                    problem = self._problem(sink, frame, error)
                    if not durable:  # what a durable stream counts on has it
                        answers[n] = problem
        return answers

    def _problem(self, sink: Sink, frame: SinkFrame, error: Exception) -> Exception:
        """Log that a frame was not kept, but not each of a disk that is full for hours."""
        now = time.monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return error
        more = f" ({self._unsaid} more since the last such line)" if self._unsaid else ""
        name = type(sink).__name__
        LOG.error("%s: frame %d of %s not kept: %s%s", name, frame.seq, frame.vehicle, error, more)
        self._quiet_until, self._unsaid = now + _QUIET_S, 0
        return error

    def _record(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> None:
        for sink in self._telemetry:
            try:
                sink.write_telemetry(vehicle, stream, telemetry)
            except Exception as error:
                LOG.error("%s: telemetry of %s not kept: %s", type(sink).__name__, vehicle, error)

    def _close(self, vehicle: str | None) -> None:
        for sink in [*self._durable, *self._plain]:
            try:
                sink.close() if vehicle is None else sink.close_vehicle(vehicle)
            except Exception as error:
                LOG.error("%s: closing failed: %s", type(sink).__name__, error)


def _tell(tells: Sequence[Callable[[_Answer | None], None]], answers: Sequence[_Answer | None]) -> None:
    for tell, answer in zip(tells, answers, strict=True):
        tell(answer)
