"""How fast the network delivers: bytes acknowledged per time, and what is still under way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.ratecontrol.signals import NS_PER_S, Feedback

MOST_IN_FLIGHT = 4096
GOODPUT_WINDOW_S = 1.0
_TRAIN_NS = 150_000_000
_SHORTEST_NS = 10_000_000


@dataclass(frozen=True)
class _Acked:
    at_ns: int
    size: int
    gap_ns: int | None  # since the ack before, when the link had work all that time


class DeliveryMeter:
    """Keep account of frames under way and measure the rate at which they arrive.

    Two measures. The goodput is what was acknowledged within the last second. The train rate is the dispersion of
    frames that stood in the queue together (Dovrolis, Ramanathan and Moore, "What Do Packet Dispersion Techniques
    Measure?", INFOCOM 2001): bytes over time between acks, of frames each sent before the ack that precedes its own.
    The link had work all that time, so this is its capacity, whatever was asked of it.
    """

    def __init__(self) -> None:
        self._flight: dict[int, tuple[int, int]] = {}  # seq -> (sent_ns, size), in the order sent
        self._bytes = 0
        self._acked: deque[_Acked] = deque()
        self._sum = 0
        self.last_ack_ns: int | None = None
        self.train_rate: float | None = None
        """Bytes a second of the train that the latest ack ended; None when that frame stood in no queue."""

    def sent(self, now_ns: int, seq: int, size: int) -> None:
        """Note a frame as under way; one sent again under its number starts anew."""
        self._take(seq)
        while len(self._flight) >= MOST_IN_FLIGHT:
            self._take(next(iter(self._flight)))
        self._flight[seq] = (now_ns, size)
        self._bytes += size

    def acked(self, now_ns: int, seq: int, cloud_ms: float = 0.0) -> Feedback | None:
        """Settle a frame and return what it took; None for a number that is not under way."""
        frame = self._take(seq)
        if frame is None:
            return None
        sent_ns, size = frame
        last, self.last_ack_ns = self.last_ack_ns, now_ns
        busy = last is not None and sent_ns < last
        self._acked.append(_Acked(now_ns, size, now_ns - last if busy and last is not None else None))
        self._sum += size
        self._expire(now_ns)
        self.train_rate = self._train()
        return Feedback(sent_ns, now_ns, size, cloud_ms)

    @property
    def count(self) -> int:
        """Return the number of frames under way."""
        return len(self._flight)

    @property
    def bytes_in_flight(self) -> int:
        """Return the bytes under way."""
        return self._bytes

    def oldest_ms(self, now_ns: int) -> float:
        """Return how long the oldest frame under way has been so; 0 without one."""
        first = next(iter(self._flight.values()), None)
        return 0.0 if first is None else max(0.0, (now_ns - first[0]) / 1e6)

    def goodput(self, now_ns: int) -> float:
        """Return the bytes a second acknowledged over the last second."""
        self._expire(now_ns)
        return self._sum / GOODPUT_WINDOW_S

    def forget(self) -> None:
        """Forget what is under way, as after a lost connection; what was measured stays."""
        self._flight.clear()
        self._bytes = 0

    def _take(self, seq: int) -> tuple[int, int] | None:
        frame = self._flight.pop(seq, None)
        if frame is not None:
            self._bytes -= frame[1]
        return frame

    def _train(self) -> float | None:
        """Return the rate of the latest acks that came one after another out of a queue."""
        size, span = 0, 0
        for item in reversed(self._acked):
            if item.gap_ns is None or (size and span + item.gap_ns > _TRAIN_NS):
                break  # the queue was empty before it, or the link stood still
            size += item.size
            span += item.gap_ns
        return size * NS_PER_S / max(span, _SHORTEST_NS) if size else None

    def _expire(self, now_ns: int) -> None:
        while self._acked and now_ns - self._acked[0].at_ns > GOODPUT_WINDOW_S * NS_PER_S:
            self._sum -= self._acked.popleft().size
