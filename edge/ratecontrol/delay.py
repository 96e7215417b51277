"""How long frames wait in the network: time from send to ack, less its minimum."""

from __future__ import annotations

from collections import deque

from edge.ratecontrol.signals import NS_PER_S, Feedback

BASE_WINDOW_S = 30.0
TREND_WINDOW_S = 1.0
TREND_LEAST = 4


class DelayMeter:
    """Measure queueing delay and its trend from acks.

    The base is the smallest network time of the last 30 s, as the queue runs empty now and then; what a frame
    took beyond it, it waited. Send and ack are read from one clock, so no clock offset matters. The trend is the
    least-squares slope over the last second, as in the delay-gradient estimator of Google Congestion Control.
    """

    def __init__(self) -> None:
        self._minima: deque[tuple[int, float]] = deque()  # ascending in both: the first is the minimum
        self._recent: deque[tuple[int, float]] = deque()

    def add(self, feedback: Feedback) -> float:
        """Take one ack; return the queueing delay of its frame in ms."""
        now, took = feedback.acked_ns, feedback.network_ms
        while self._minima and self._minima[-1][1] >= took:
            self._minima.pop()
        self._minima.append((now, took))
        while now - self._minima[0][0] > BASE_WINDOW_S * NS_PER_S:
            self._minima.popleft()
        queueing = took - self._minima[0][1]
        self._recent.append((now, queueing))
        while now - self._recent[0][0] > TREND_WINDOW_S * NS_PER_S:
            self._recent.popleft()
        return queueing

    @property
    def base_ms(self) -> float | None:
        """Return the smallest network time known; None before the first ack."""
        return self._minima[0][1] if self._minima else None

    @property
    def latest_ms(self) -> float:
        """Return the queueing delay of the frame acknowledged last; 0 before the first."""
        return self._recent[-1][1] if self._recent else 0.0

    def slope_ms_s(self, now_ns: int) -> float:
        """Return by how many ms a second the queueing delay grew lately; 0 without enough acks to tell."""
        points = [
            ((at - now_ns) / NS_PER_S, wait)
            for at, wait in self._recent
            if now_ns - at <= TREND_WINDOW_S * NS_PER_S
        ]
        if len(points) < TREND_LEAST:
            return 0.0
        mean_t = sum(t for t, _ in points) / len(points)
        mean_w = sum(w for _, w in points) / len(points)
        spread = sum((t - mean_t) ** 2 for t, _ in points)
        if spread <= 1e-9:  # all at once, as after a stall: no trend to read
            return 0.0
        return sum((t - mean_t) * (w - mean_w) for t, w in points) / spread

    def forget(self) -> None:
        """Forget the path: the next ack starts a new base."""
        self._minima.clear()
        self._recent.clear()
