"""The interface of sinks, their specification on the command line, and the one thread that feeds them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.bitstream.session import SessionFacts
from common.errors import UsageError
from common.types import RgbImage, SideState

LOG = logging.getLogger(__name__)

BACKLOG_FRAMES = 32
"""Decoded frames that may wait for the sinks before decoding waits too."""


@dataclass(frozen=True, eq=False)
class SinkFrame:
    """Hold one settled main frame.

    Attributes:
        vehicle: name of the vehicle, safe as a file name.
        session: name of the session.
        seq: number of the frame in its stream.
        capture_ns: capture time in nanoseconds.
        facts: bundle id and frame size of the stream.
        packet: the frame packet as received.
        image: (H, W, 3) uint8 RGB, or None when nothing decodes here.
        side: (H, W, 3) uint8 RGB, the side view it was decoded with, or None.
        side_state: which side view that was.
        temporal: mean weight of the frame before in this one; 0 when it was not used.
    """

    vehicle: str
    session: str
    seq: int
    capture_ns: int
    facts: SessionFacts
    packet: bytes
    image: RgbImage | None
    side: RgbImage | None
    side_state: SideState
    temporal: float = 0.0


class Sink(Protocol):
    """Take frames; every call comes from the same thread."""

    def write(self, frame: SinkFrame) -> None:
        """Keep one frame; it must be on disk, or on its way there, when this returns."""
        ...

    def close_vehicle(self, vehicle: str) -> None:
        """Complete the recording of one vehicle; a later frame of it starts another."""
        ...

    def close(self) -> None:
        """Complete every recording."""
        ...


def open_sink(spec: str) -> Sink:
    """Return the sink that `images:DIR` or `video:FILE` names.

    Raises:
        UsageError: no such kind of sink, or the place cannot be written to.
        MissingDependency: a video without PyAV.
    """
    kind, _, place = spec.partition(":")
    if not place or kind not in ("images", "video"):
        raise UsageError(f"sink {spec!r} is neither images:DIR nor video:FILE")
    try:
        if kind == "images":
            from cloud.sinks.images import ImageSink

            return ImageSink(Path(place))
        from cloud.sinks.video import VideoSink

        return VideoSink(Path(place))
    except OSError as error:
        raise UsageError(f"sink {spec!r} cannot be written to: {error}") from error


class SinkWriter:
    """Feed sinks from the event loop through one thread, in order."""

    def __init__(self, sinks: Sequence[Sink], backlog_frames: int = BACKLOG_FRAMES) -> None:
        self._sinks = list(sinks)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sinks")
        self._backlog_frames = backlog_frames
        self._backlog = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until another frame may come."""
        await self._room.wait()

    async def write(self, frame: SinkFrame) -> str | None:
        """Give `frame` to every sink; return what went wrong, or None."""
        if not self._sinks:
            return None
        self._backlog += 1
        self._update()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, frame)
        finally:
            self._backlog -= 1
            self._update()

    async def close_vehicle(self, vehicle: str) -> None:
        """Complete the recordings of one vehicle, after its frames given so far."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close, vehicle)

    async def close(self) -> None:
        """Complete every recording and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close, None)
        self._thread.shutdown()

    def _update(self) -> None:
        if self._backlog >= self._backlog_frames:
            self._room.clear()
        else:
            self._room.set()

    def _write(self, frame: SinkFrame) -> str | None:
        problem = None
        for sink in self._sinks:
            try:
                sink.write(frame)
            except Exception as error:  # a full disk, or a defect of one sink, must not stop the others
                LOG.error(
                    "%s: frame %d of %s not kept: %s", type(sink).__name__, frame.seq, frame.vehicle, error
                )
                problem = f"not kept by {type(sink).__name__}: {error}"
        return problem

    def _close(self, vehicle: str | None) -> None:
        for sink in self._sinks:
            try:
                sink.close() if vehicle is None else sink.close_vehicle(vehicle)
            except Exception as error:
                LOG.error("%s: closing failed: %s", type(sink).__name__, error)
