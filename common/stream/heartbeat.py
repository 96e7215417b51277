"""Say when to probe a connection, and when its peer is lost: pure, times come in as arguments."""

from __future__ import annotations

from common.errors import ProtocolViolation

NS_PER_S = 1_000_000_000
INTERVAL_S = 1.0
LOST_S = 20.0
MOST_OPEN = 64


class Heartbeat:
    """Follow one connection's pings and signs of life.

    Anything the peer says is a sign of life. A ping is due each `interval_s`, and the peer is lost after `lost_s`
    without a sign, provided that a ping was asked in that time: a side that was itself stopped asks first.
    """

    def __init__(self, now_ns: int, interval_s: float = INTERVAL_S, lost_s: float = LOST_S) -> None:
        self._interval_ns, self._lost_ns = round(interval_s * NS_PER_S), round(lost_s * NS_PER_S)
        self._next_ns = now_ns
        self._heard_ns = now_ns
        self._open: dict[int, None] = {}  # pings without an answer, oldest first

    def due_in_s(self, now_ns: int) -> float:
        """Return the time until the next ping is due; 0 when it is."""
        return max(0, self._next_ns - now_ns) / NS_PER_S

    def ping(self, now_ns: int) -> None:
        """Note that a ping stamped `now_ns` leaves."""
        self._next_ns = now_ns + self._interval_ns
        while len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[now_ns] = None

    def pong(self, asked_ns: int) -> bool:
        """Note an answer; return whether it is to be used (an answer to a ping forgotten meanwhile is not).

        Raises:
            ProtocolViolation: no ping can have had that stamp.
        """
        if asked_ns in self._open:
            del self._open[asked_ns]
            return True
        if asked_ns >= self._next_ns:
            raise ProtocolViolation("pong for a ping that was not sent")
        return False

    def heard(self, now_ns: int) -> None:
        """Note a sign of life."""
        self._heard_ns = now_ns

    def silence_s(self, now_ns: int) -> float:
        """Return the time since the last sign of life."""
        return (now_ns - self._heard_ns) / NS_PER_S

    def lost(self, now_ns: int) -> bool:
        """Tell whether the peer has been silent for too long."""
        silent = now_ns - self._heard_ns > self._lost_ns
        oldest = next(iter(self._open), None)
        return silent and oldest is not None and now_ns - oldest > self._lost_ns
