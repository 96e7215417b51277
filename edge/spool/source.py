"""The durable source of a connection: what the spool holds, oldest first, until the cloud has it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from common.errors import SpoolError
from common.stream.messages import MainFrame, SideFrame, Telemetry
from common.stream.queue import Closed
from common.stream.sender import Sender, Settled
from edge.outgoing import Dispatch
from edge.report import StreamStats
from edge.spool.database import SpoolFull
from edge.spool.records import SpoolFormat
from edge.spool.spool import Spool

MOST_UNWRITTEN = 4096


class SpoolSource:
    """Hand out pending frames of one format at a time.

    Numbers wait in the sender, payloads on disk: however long an outage lasts, memory holds a few dozen numbers.
    What acks settle is gathered and written by `flush`; a crash before that costs a second sending, not a frame.
    """

    def __init__(self, spool: Spool, sender: Sender, change: threading.Condition, stats: StreamStats) -> None:
        """Read from `spool`; `change` guards the sender and is notified of what is new."""
        self._spool, self._sender, self._change, self._stats = spool, sender, change, stats
        self._form = -1
        self._cursor = -1
        self._last_side: int | None = None
        self._sent_below = 0
        self._kept: list[int] = []
        self._failed: list[int] = []
        self._below = 0
        self.growing: int | None = None
        """Format of the frames that are being captured; None when there will be no more."""

    # --- what to send ---------------------------------------------------------------------------------------

    def formats(self) -> dict[int, SpoolFormat]:
        """Return the formats that have frames waiting, the one of the oldest first."""
        return self._spool.formats()

    def choose(self, form: int) -> int:
        """Take the frames of that format for the next connection; return the first number still in the spool."""
        with self._change:
            self._form, self._cursor, self._last_side = form, -1, None
            self._sender.withdraw()
            return self.oldest()

    def oldest(self) -> int:
        """Return the first number that the spool still holds, or will hold."""
        oldest = self._spool.oldest()
        return self._spool.next_seq if oldest is None else oldest

    def resumed(self, settled: Settled) -> None:
        """Keep what the welcome says, before anything is sent under it.

        Raises:
            SpoolError: the disk is so full that not even that can be written.
        """
        try:
            if self._sender.base is not None:
                self._spool.set_base(self._sender.base)
            held = self._spool.settle(settled)
        except SpoolFull:
            raise SpoolError(self._spool.folder, "the disk is full") from None
        self._stats.frames.add("held", held)

    def next(self, timeout_s: float, over: Callable[[], bool]) -> Dispatch | None:
        """Return the oldest frame that may go; see `Source`."""
        with self._change:
            if over():
                return None
            more = self._refill()
            number = self._sender.next() if len(self._kept) < MOST_UNWRITTEN else None
            if number is None:
                if not more and not self._sender.ready and not self._sender.wants_reconnect:
                    self._sender.end()
                    raise Closed
                self._change.wait(timeout_s)
                return None
            frame = self._spool.load(number)
            if frame is None:  # grew too old meanwhile
                self._sender.withdraw(number)
                return None
            self._sender.sent(number, self._stats.clock())
            again, self._sent_below = number < self._sent_below, max(self._sent_below, number + 1)
            wire = self._sender.wire
            sides = [self._on_wire(side) for side in self._spool.sides(number, self._last_side)]
            if sides:
                self._last_side = number
            messages: list[Telemetry | SideFrame | MainFrame] = [
                replace(part, seq=wire(part.seq)) for part in frame.telemetry
            ]
            messages += [*sides, MainFrame(wire(number), frame.capture_ns, frame.packet)]
            return Dispatch(tuple(messages), frame.taken_ns, again=again)

    def _refill(self) -> bool:
        """Offer numbers to the sender; return whether more may come on this connection."""
        room = self._sender.room
        if not room:
            return True
        # Asked first: what is captured between the two questions is seen the next time.
        growing = self.growing == self._form
        numbers = self._spool.numbers(self._cursor, self._form, room)
        for number in numbers:
            self._sender.offer(number)
            self._cursor = number
        return growing or bool(numbers)

    def _on_wire(self, side: SideFrame) -> SideFrame:
        reference = 0 if side.keyframe else self._sender.wire(side.reference_seq)
        return replace(side, seq=self._sender.wire(side.seq), reference_seq=reference)

    # --- what is settled ------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Return how many frames the cloud does not have yet, as far as is written down."""
        return self._spool.pending

    def settled(self, settled: Settled) -> None:
        """Take what an ack settled; `flush` writes it."""
        self._kept += settled.kept
        self._failed += settled.failed
        self._below = max(self._below, settled.below)

    def flush(self) -> bool:
        """Write what is settled; return False when the disk is too full even for that."""
        with self._change:
            settled = Settled(tuple(self._kept), tuple(self._failed), below=self._below)
            self._kept, self._failed, self._below = [], [], 0
        if not (settled.kept or settled.failed or settled.below):
            return True
        try:
            self._spool.settle(settled)
        except SpoolFull:
            with self._change:
                self._kept = [*settled.kept, *self._kept]
                self._failed = [*settled.failed, *self._failed]
                self._below = max(settled.below, self._below)
            return False
        with self._change:
            self._change.notify_all()
        return True

    def expire(self, age_s: float) -> int:
        """Give up what has waited longer than `age_s`; only between connections. Returns how many frames."""
        with self._change:
            self._sender.withdraw()
            try:
                count = self._spool.expire(age_s)
            except SpoolFull:
                return 0
            if count:
                self._stats.late("spool", main=True, side=False, count=count)
            return count
