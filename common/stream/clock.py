"""Estimate how far a peer's clock is ahead: pure, times come in as arguments."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
WINDOW_S = 60.0
MOST_SAMPLES = 128


@dataclass(frozen=True)
class ClockSample:
    """One round trip, in nanoseconds.

    Attributes:
        offset_ns: the peer's clock minus ours; wrong by at most half of `rtt_ns`.
        rtt_ns: time on the way, there and back, without the peer's own.
    """

    offset_ns: int
    rtt_ns: int


class ClockEstimator:
    """Keep the best of the latest round trips: four timestamps each, as NTP takes them (RFC 5905, section 8).

    Queues make a round trip longer and its offset worse, never better, so the shortest of the window is the one to
    believe (the minimum filter of the same RFC, section 10). Both clocks must be monotonic; their rates may differ
    by what crystals do: after `window_s` a sample is too old to be believed.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_ns = round(window_s * NS_PER_S)
        # Ascending round trips, so the best comes first; what is older and longer than another can never win.
        self._samples: deque[tuple[int, ClockSample]] = deque()

    def add(self, sent_ns: int, peer_received_ns: int, peer_sent_ns: int, now_ns: int) -> ClockSample | None:
        """Take one round trip.

        Args:
            sent_ns: our clock when the question left.
            peer_received_ns: the peer's clock when it came.
            peer_sent_ns: the peer's clock when the answer left.
            now_ns: our clock when the answer came.

        Returns:
            The sample, or None for times that cannot be true (a negative time on the way).
        """
        held = peer_sent_ns - peer_received_ns
        rtt = (now_ns - sent_ns) - held
        if held < 0 or rtt < 0:
            return None
        sample = ClockSample(((peer_received_ns - sent_ns) + (peer_sent_ns - now_ns)) // 2, rtt)
        while self._samples and self._samples[-1][1].rtt_ns >= rtt:
            self._samples.pop()
        if len(self._samples) < MOST_SAMPLES:
            self._samples.append((now_ns, sample))
        self._expire(now_ns)
        return sample

    def best(self, now_ns: int) -> ClockSample | None:
        """Return the sample to believe; None without a recent one."""
        self._expire(now_ns)
        return self._samples[0][1] if self._samples else None

    def _expire(self, now_ns: int) -> None:
        while self._samples and now_ns - self._samples[0][0] > self._window_ns:
            self._samples.popleft()
