"""Micro-batches across sessions: what waits, who is next, what is given up.

Each stream has a queue of bounded length and bytes; when full its oldest frame goes, and so does a frame past its
deadline. Durable frames never go: whoever feeds them waits for `room` instead. Batches take one frame from each
stream in turn, so a vehicle that sends much cannot starve one that sends little.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from cloud.engine.base import Engine, EngineRequest, EngineResult
from cloud.temporal.stage import TemporalStage
from common.errors import MdicError
from common.types import RgbImage

LOG = logging.getLogger(__name__)

QUEUE_FULL = "decode queue full"
SHUTDOWN = "shutdown"
LATE = "late: decode queue"


@dataclass(frozen=True)
class SchedulerLimits:
    """Bound what waits for decoding.

    Attributes:
        stream_frames: frames waiting per stream.
        stream_bytes: bytes (packets and side views) waiting per stream; its newest frame always stays.
        total_bytes: the same over all streams; the stream that holds most gives up first.
        gather_ms: how long a batch that is not full waits for more frames.
    """

    stream_frames: int = 256
    stream_bytes: int = 512 << 20
    total_bytes: int = 2 << 30
    gather_ms: float = 3.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """Say what became of a request: exactly one of `result`, `error` and `dropped` is set.

    Attributes:
        dropped: why it was given up before decoding.
        started_ns: monotonic time when its batch started, or when it was given up.
        decode_ms: time of the batch it was decoded in.
        batch: number of frames in that batch.
    """

    result: EngineResult | None = None
    error: MdicError | None = None
    dropped: str | None = None
    started_ns: int = 0
    decode_ms: float = 0.0
    batch: int = 0


@dataclass(eq=False)
class Job:
    """Hold a request and whom to tell; `settle` is called once, in the event loop.

    Attributes:
        durable: it must not make room for others.
        due_ns: monotonic time from which nobody wants it any more; None for never.
    """

    request: EngineRequest
    settle: Callable[[Outcome], None]
    durable: bool = False
    due_ns: int | None = None
    settled: bool = field(default=False, init=False)

    @property
    def stream(self) -> str:
        """Name the stream the frame belongs to."""
        return self.request.stream

    @property
    def size_bytes(self) -> int:
        """Give the memory that the waiting request holds."""
        return len(self.request.packet) + (0 if self.request.side is None else self.request.side.nbytes)

    def finish(self, outcome: Outcome) -> None:
        """Tell the outcome unless one was told before."""
        if not self.settled:
            self.settled = True
            self.settle(outcome)


async def _no_gate() -> None:
    return None


class Scheduler:
    """Feed an engine from many streams."""

    def __init__(
        self,
        engine: Engine,
        limits: SchedulerLimits | None = None,
        gate: Callable[[], Awaitable[None]] = _no_gate,
        now_ns: Callable[[], int] = time.monotonic_ns,
        temporal: TemporalStage | None = None,
    ) -> None:
        """Prepare.

        Args:
            engine: decodes.
            limits: bounds of what waits.
            gate: awaited before each batch, so that a slow consumer slows decoding down.
            now_ns: a monotonic clock.
            temporal: fuses each stream's frames over time; None leaves them as decoded.
        """
        self.engine = engine
        self.limits = limits or SchedulerLimits()
        self.batches = 0
        self._gate, self._now_ns, self._temporal = gate, now_ns, temporal
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()  # first = next in turn
        self._bytes: dict[str, int] = {}
        self._running: list[Job] = []
        self._previous: dict[str, RgbImage] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._freed = asyncio.Event()
        self._waiting = self._waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """Count the frames that wait, over all streams."""
        return self._waiting

    @property
    def waiting_bytes(self) -> int:
        """Give the bytes that waiting frames hold."""
        return self._waiting_bytes

    def waiting_of(self, stream: str) -> int:
        """Count the frames of one stream that wait."""
        return len(self._queues.get(stream, ()))

    def crowded(self, stream: str) -> bool:
        """Tell whether so much waits that a stream that loses nothing has to wait before it sends more."""
        waiting = len(self._queues.get(stream, ()))
        return waiting > 0 and (
            waiting >= self.limits.stream_frames
            or self._bytes[stream] >= self.limits.stream_bytes
            or self.waiting_bytes >= self.limits.total_bytes
        )

    async def room(self, stream: str) -> None:
        """Wait until `stream` is not crowded."""
        while self.crowded(stream):
            self._freed.clear()
            await self._freed.wait()

    def submit(self, job: Job) -> None:
        """Queue a job; whatever has to make room for it is settled as dropped."""
        queue = self._queues.setdefault(job.stream, deque())
        queue.append(job)
        self._waiting += 1
        self._waiting_bytes += job.size_bytes
        self._bytes[job.stream] = self._bytes.get(job.stream, 0) + job.size_bytes
        self._idle.clear()
        self._wake.set()
        limits = self.limits
        while len(queue) > limits.stream_frames or (
            len(queue) > 1 and self._bytes[job.stream] > limits.stream_bytes
        ):
            if not self._drop_oldest(job.stream, QUEUE_FULL):
                break
        while self.waiting_bytes > limits.total_bytes and self.waiting > 1:
            by_bytes = sorted(self._bytes, key=self._bytes.__getitem__, reverse=True)
            if not any(self._drop_oldest(stream, QUEUE_FULL) for stream in by_bytes):
                break

    def forget(self, stream: str) -> None:
        """Forget the previous frame of a stream that ended or begins anew."""
        self._previous.pop(stream, None)
        if self._temporal is not None:
            self._temporal.forget(stream)

    async def run(self) -> None:
        """Decode until cancelled."""
        while True:
            await self._wake.wait()
            await self._gate()
            if self.waiting < self.engine.max_batch:
                await asyncio.sleep(self.limits.gather_ms / 1000)
            batch = self._take()
            if batch:
                await self._decode(batch)
            if not self._queues:
                self._wake.clear()
                self._idle.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing waits or runs; after `timeout_s` what is left is dropped."""
        try:
            await asyncio.wait_for(self._idle.wait(), max(timeout_s, 0))
        except asyncio.TimeoutError:
            self.drop_all(SHUTDOWN)

    def drop_all(self, why: str) -> None:
        """Settle everything that waits or runs as dropped."""
        while self._queues:
            self._pop(next(iter(self._queues))).finish(Outcome(dropped=why, started_ns=self._now_ns()))
        for job in self._running:
            job.finish(Outcome(dropped=why, started_ns=self._now_ns()))

    def _drop_oldest(self, stream: str, why: str) -> bool:
        """Settle the oldest frame of `stream` that may go as dropped; tell whether there was one."""
        for at, job in enumerate(self._queues[stream]):
            if not job.durable:
                self._pop(stream, at).finish(Outcome(dropped=why, started_ns=self._now_ns()))
                return True
        return False

    def _pop(self, stream: str, at: int = 0) -> Job:
        queue = self._queues[stream]
        job = queue[at]
        del queue[at]
        self._waiting -= 1
        self._waiting_bytes -= job.size_bytes
        self._bytes[stream] -= job.size_bytes
        if not queue:
            del self._queues[stream], self._bytes[stream]
        self._freed.set()
        return job

    def _take(self) -> list[Job]:
        """Take a batch, one frame from each stream in turn."""
        batch: list[Job] = []
        taken: set[str] = set()
        while self._queues and len(batch) < self.engine.max_batch:
            stream = next(iter(self._queues))
            if self.engine.wants_previous and stream in taken:
                break  # in turn, so every other stream was taken from as well
            job = self._pop(stream)
            now_ns = self._now_ns()
            if job.due_ns is not None and now_ns >= job.due_ns:
                job.finish(Outcome(dropped=LATE, started_ns=now_ns))
                continue
            taken.add(stream)
            batch.append(job)
            if stream in self._queues:
                self._queues.move_to_end(stream)
        return batch

    async def _decode(self, batch: list[Job]) -> None:
        requests = [job.request for job in batch]
        if self.engine.wants_previous:
            requests = [replace(r, previous=self._matching_previous(r)) for r in requests]
        started_ns = self._now_ns()
        self._running = batch
        answers: list[EngineResult | MdicError]
        try:
            answers = await self.engine.decode(requests)
            if len(answers) != len(batch):
                raise RuntimeError(f"engine gave {len(answers)} answers to {len(batch)} requests")
            if self._temporal is not None:
                answers = await self._temporal.mend(requests, answers)
        except Exception:
            LOG.exception("decoding a batch of %d frames failed", len(batch))
            answers = [MdicError("internal error")] * len(batch)
        finally:
            self._running = []
        self.batches += 1
        decode_ms = (self._now_ns() - started_ns) / 1e6
        for job, answer in zip(batch, answers, strict=True):
            failed = isinstance(answer, MdicError)
            if isinstance(answer, EngineResult) and answer.image is not None and self.engine.wants_previous:
                self._previous[job.stream] = answer.image
            job.finish(
                Outcome(
                    result=None if isinstance(answer, MdicError) else answer,
                    error=answer if isinstance(answer, MdicError) else None,
                    started_ns=started_ns,
                    decode_ms=0.0 if failed else decode_ms,
                    batch=len(batch),
                )
            )

    def _matching_previous(self, request: EngineRequest) -> RgbImage | None:
        previous = self._previous.get(request.stream)
        size = (request.facts.height, request.facts.width)
        return previous if previous is not None and previous.shape[:2] == size else None
