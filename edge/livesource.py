"""The live source of a connection: what is newest, from the send queue, dropping what comes too late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from common.stream.messages import MainFrame, SideFrame, Telemetry
from common.stream.queue import BoundedQueue, Closed
from common.stream.sender import Sender, Settled
from edge.outgoing import Dispatch, Outgoing
from edge.report import StreamStats

_MOD_MS = 1 << 32


class LiveSource:
    """Hand out the send queue's frames, oldest first, over any number of connections.

    A frame waits in the queue, where it can still be dropped for a newer one, until the window lets it go.
    """

    def __init__(
        self,
        queue: BoundedQueue[Outgoing],
        sender: Sender,
        change: threading.Condition,
        stats: StreamStats,
        deadline_ms: int = 0,
    ) -> None:
        """Take over a queue.

        Args:
            queue: made with the same `change`.
            sender: of live mode.
            change: guards the sender and the queue.
            stats: counts what is dropped here.
            deadline_ms: age at which a frame is useless; 0 for none.
        """
        self._queue, self._sender, self._change, self._stats = queue, sender, change, stats
        self._deadline_ms = deadline_ms
        self._last_side: int | None = None
        self.request_keyframe: Callable[[], None] = lambda: None
        """Called when the side views that follow have nothing to build on."""

    def resumed(self, settled: Settled) -> None:
        """Begin a connection: its decoder knows no side view yet."""
        if self._last_side is not None:
            self.request_keyframe()
        self._last_side = None

    def next(self, timeout_s: float, over: Callable[[], bool]) -> Dispatch | None:
        """Return the oldest frame that is still worth sending; see `Source`."""
        with self._change:
            self._change.wait_for(lambda: over() or self._go() or self._empty(), timeout_s)
            if over():
                return None
            if self._empty():
                self._sender.end()
                raise Closed
            item = self._queue.get(0) if self._go() else None
            return None if item is None else self._dispatch(item)

    def settled(self, settled: Settled) -> None:
        """Do nothing: what is sent is forgotten."""

    def discard(self) -> None:
        """Empty the queue for good and count what was in it."""
        for item in self._queue.abort():
            self._stats.dropped("shutdown", main=item.main is not None, side=item.side is not None)

    def _go(self) -> bool:
        return len(self._queue) > 0 and self._sender.credit

    def _empty(self) -> bool:
        return self._queue.closed and not len(self._queue)

    def _dispatch(self, item: Outgoing) -> Dispatch | None:
        main, side = item.main, item.side
        now_ns = self._stats.clock()
        if self._deadline_ms and now_ns - item.taken_ns > self._deadline_ms * 1_000_000:
            self._stats.late("send_queue", main=main is not None, side=side is not None)
            main = side = None
        if side is not None and not side.keyframe and side.reference_seq != self._last_side:
            # The frame it builds on was dropped: sending it would only cost bytes.
            self._stats.dropped("send_queue", main=False, side=True)
            side = None
        if side is not None:
            self._last_side = side.seq
        if main is not None:
            self._sender.offer(main.seq)
            self._sender.sent(main.seq, now_ns)
            if self._deadline_ms:
                main = replace(main, due_ms=due_ms(item.taken_ns, self._deadline_ms))
        messages: list[Telemetry | SideFrame | MainFrame] = list(item.telemetry)
        messages += [frame for frame in (side, main) if frame is not None]
        return Dispatch(tuple(messages), item.taken_ns, item.quality) if messages else None


def due_ms(taken_ns: int, deadline_ms: int) -> int:
    """Return when a frame becomes useless, as a main frame carries it: 1 to 2^32 - 1, as 0 means never."""
    return (taken_ns // 1_000_000 + deadline_ms) % _MOD_MS or 1
