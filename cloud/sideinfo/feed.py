"""The way of side frames from the wire to pairing: a short queue and one decoding at a time, in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from cloud.pairing import SideView
from cloud.sideinfo.sidecodec import SideDecoder, SidePacket
from common.errors import MdicError

LOG = logging.getLogger(__name__)

QUEUE_FRAMES = 16
QUEUE_BYTES = 64 << 20


class SideTarget(Protocol):
    """Take decoded side views (a `Pairer`)."""

    def announce_side(self, capture_ns: int) -> None:
        """Learn that a side view is on its way."""
        ...

    def resolve_side(self, capture_ns: int) -> None:
        """Learn that it arrived or will not."""
        ...

    def add_side(self, side: SideView) -> None:
        """Take a side view."""
        ...


class SideFeed:
    """Decode the side frames of one connection in order."""

    def __init__(
        self,
        decoder: SideDecoder,
        target: SideTarget,
        threads: Executor,
        arrived: Callable[[], None],
        failed: Callable[[int | None, MdicError | None, str], None],
    ) -> None:
        """Prepare.

        Args:
            decoder: of this connection's codec.
            target: where views go.
            threads: where decoding runs.
            arrived: called after each frame, decoded or not.
            failed: called when a frame was lost, with its capture time (None at the end of a stream), the error (None
                for a defect of ours) and its kind.
        """
        self._decoder, self._target, self._threads = decoder, target, threads
        self._arrived, self._failed = arrived, failed
        self._queue: deque[SidePacket] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None

    async def put(self, packet: SidePacket) -> None:
        """Queue a frame; waits while the queue is full, so that reading from the wire slows down."""
        while len(self._queue) >= QUEUE_FRAMES or (
            self._queue and self._bytes + len(packet.data) > QUEUE_BYTES
        ):
            self._room.clear()
            await self._room.wait()
        self._queue.append(packet)
        self._bytes += len(packet.data)
        self._target.announce_side(packet.capture_ns)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._work())

    async def drain(self) -> None:
        """Wait until every frame received is decoded, also those that the decoder held back."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)
        for view in await self._run(None, self._decoder.flush) or []:
            self._target.add_side(view)
        self._arrived()

    def close(self) -> None:
        """Stop decoding."""
        if self._task is not None:
            self._task.cancel()
        for packet in self._queue:
            self._target.resolve_side(packet.capture_ns)
        self._queue.clear()

    async def _work(self) -> None:
        while self._queue:
            packet = self._queue.popleft()
            self._bytes -= len(packet.data)
            self._room.set()
            try:
                for view in await self._run(packet.capture_ns, self._decoder.decode, packet) or []:
                    self._target.add_side(view)
            finally:
                self._target.resolve_side(packet.capture_ns)
            self._arrived()

    async def _run(
        self, capture_ns: int | None, call: Callable[..., list[SideView]], *arguments: Any
    ) -> list[SideView] | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        except MdicError as error:
            self._failed(capture_ns, error, type(error).__name__)
        except Exception as error:
            LOG.exception("decoding a side frame failed")
            self._failed(capture_ns, None, type(error).__name__)
        return None
