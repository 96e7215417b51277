"""When to tell a vehicle how busy the cloud is with it: pure, time passed in."""

from __future__ import annotations

from common.stream.messages import Hint

BUSY_FRAMES = 32
BUSY_MS = 500.0
EVERY_NS = 200_000_000
"""Shortest time between two hints of a connection."""
_CLEAR_SHARE = 2
"""Busy ends at this part of what began it, so that hints do not flutter."""
_BUSY_SHARE = 4
"""A busy cloud takes this part of the window it offered."""


class HintGate:
    """Decide which hint is due: while much waits at most one each 200 ms, and one when it has cleared."""

    def __init__(self, window: int) -> None:
        """Begin idle; `window` is the welcome's `max_in_flight`."""
        self.window = window
        self._busy = False
        self._last_ns: int | None = None

    @property
    def busy(self) -> bool:
        """Tell whether the vehicle was told to slow down and not yet that it may go on."""
        return self._busy

    def hint(self, now_ns: int, queued: int, queue_ms: float) -> Hint | None:
        """Return what to say now, None for nothing.

        Args:
            now_ns: a monotonic clock.
            queued: frames that wait.
            queue_ms: how long the oldest of them waits.
        """
        if self._last_ns is not None and now_ns - self._last_ns < EVERY_NS:
            return None
        share = _CLEAR_SHARE if self._busy else 1
        busy = queued * share > BUSY_FRAMES or queue_ms * share > BUSY_MS
        if not busy and not self._busy:
            return None
        self._busy, self._last_ns = busy, now_ns
        return Hint(queue_ms, queued, max(1, self.window // _BUSY_SHARE) if busy else self.window)
