"""From the encoders into the spool: a thread that commits what comes, and says no when there is no room."""

from __future__ import annotations

import threading
from collections.abc import Callable

from common.stream.queue import BoundedQueue, Closed
from edge.outgoing import Outgoing
from edge.report import StreamStats
from edge.spool.database import SpoolFull
from edge.spool.records import SpoolFrame
from edge.spool.spool import Spool

BATCH_FRAMES = 16
BATCH_BYTES = 4 << 20
_DISK_RETRY_S = 0.5


class SpoolWriter:
    """Commit encoded frames to the spool in the order they come; a frame counts as captured when it is there.

    Without room a live camera's newest frame is refused and counted; a recording (`wait`) waits for room instead.
    """

    def __init__(
        self,
        spool: Spool,
        form: int,
        queue: BoundedQueue[Outgoing],
        stats: StreamStats,
        *,
        wait: bool,
        camera: str | None,
        on_kept: Callable[[], None],
        request_keyframe: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            spool: where frames go.
            form: number of their format.
            queue: where they come from.
            stats: counts captured and refused frames.
            wait: wait for room instead of refusing.
            camera: the recording whose position is kept with its frames; None for a live camera.
            on_kept: called after each commit, and at the end.
            request_keyframe: called when a side view is left out that others might build on.
        """
        self._spool, self._form, self._queue, self._stats = spool, form, queue, stats
        self._wait, self._camera = wait, camera
        self._on_kept, self._request_keyframe = on_kept, request_keyframe
        self._last_side: tuple[int, int] | None = None  # the camera's number and the spool's
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self.waiting = False
        """Whether it waits for room."""
        self.failure: Exception | None = None
        """What ended it before its time."""

    def start(self) -> None:
        """Begin to take frames."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether every frame of the queue is dealt with."""
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """Wait for room no longer: what does not fit is refused."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the queue; return whether it was reached."""
        self._thread.join(timeout_s)
        return self.done

    def _run(self) -> None:
        try:
            while True:
                self._keep(self._batch())
        except Closed:
            pass
        except Exception as error:
            self.failure = error
        finally:
            for item in self._queue.abort():
                self._drop("shutdown", item)
            self._on_kept()

    def _batch(self) -> list[Outgoing]:
        """Return what is there, at least one frame.

        Raises:
            Closed: no more will come.
        """
        first = self._queue.get()
        items = [] if first is None else [first]
        size = sum(_bytes(item) for item in items)
        while len(items) < BATCH_FRAMES and size < BATCH_BYTES and len(self._queue):
            more = self._queue.get(0)
            if more is not None:
                items.append(more)
                size += _bytes(more)
        return items

    def _keep(self, items: list[Outgoing]) -> None:
        if self._stop.is_set():
            # Keeping a later frame of a recording would move its position past those that were given up.
            for item in items:
                self._drop("shutdown", item)
            return
        for item in items:
            if item.main is None and item.side is not None:  # its main view could not be encoded
                self._drop("encode_failed", item)
        items = [item for item in items if item.main is not None]
        frames = self._frames(items)
        if not frames:
            return
        try:
            self._append(frames)
            return
        except SpoolFull:
            pass
        for item in items:  # one by one: some may fit
            self._keep_one(item)

    def _keep_one(self, item: Outgoing) -> None:
        frames = self._frames([item])
        while True:
            try:
                self._append(frames)
                return
            except SpoolFull:
                impossible = sum(frame.size for frame in frames) > self._spool.limit_bytes
                if not self._wait or impossible or self._stop.is_set():
                    self._drop("spool_full", item)
                    return
            self.waiting = True
            try:
                if self._spool.wait_room(sum(frame.size for frame in frames), _DISK_RETRY_S):
                    self._stop.wait(
                        _DISK_RETRY_S / 5
                    )  # room within the limit: if it was the disk, not at once
            finally:
                self.waiting = False

    def _append(self, frames: list[SpoolFrame]) -> None:
        numbers = self._spool.append(self._form, frames, self._camera)
        for number, frame in zip(numbers, frames, strict=True):
            if frame.side is not None:
                self._last_side = (frame.camera_seq, number)
        self._stats.frames.add("captured", len(frames))
        self._on_kept()

    def _frames(self, items: list[Outgoing]) -> list[SpoolFrame]:
        """Return the frames of `items` numbered as the spool will; a frame needs a main view to be one."""
        frames: list[SpoolFrame] = []
        last = self._last_side
        for item in items:
            main, side = item.main, item.side
            if main is None:
                continue
            if side is not None and not side.keyframe and (last is None or side.reference_seq != last[0]):
                side = None
                self._request_keyframe()
            number = self._spool.next_seq + len(frames)
            reference = 0 if side is None or side.keyframe or last is None else last[1]
            if side is not None:
                last = (side.seq, number)
            frames.append(
                SpoolFrame(
                    main.seq,
                    item.taken_ns,
                    main.capture_ns,
                    main.packet,
                    None if side is None else side.data,
                    side is None or side.keyframe,
                    reference,
                    item.telemetry,
                )
            )
        return frames

    def _drop(self, reason: str, item: Outgoing) -> None:
        self._stats.dropped(reason, main=item.main is not None, side=item.side is not None)
        if item.side is not None:
            self._request_keyframe()


def _bytes(item: Outgoing) -> int:
    main = 0 if item.main is None else len(item.main.packet)
    return main + (0 if item.side is None else len(item.side.data))
