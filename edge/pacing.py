"""Release frames at a steady rate: pure, time comes in as an argument."""

from __future__ import annotations


class Pacer:
    """Say how long to hold each frame so that they leave `fps` a second.

    A frame that comes late leaves at once, and the schedule starts over from it: no burst follows a stall.
    """

    def __init__(self, fps: float) -> None:
        if not fps > 0:
            raise ValueError(f"{fps} frames per second is no rate")
        self._period_ns = 1e9 / fps
        self._due_ns: float | None = None

    def delay_s(self, now_ns: int) -> float:
        """Return how long to hold the frame at hand, and count it as released after that."""
        due = now_ns if self._due_ns is None else max(self._due_ns, now_ns)
        self._due_ns = due + self._period_ns
        return (due - now_ns) / 1e9
