"""One direction of an emulated link, pure: packets and time go in, packets come out when they are due."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.link.capacity import NS_PER_MS, NS_PER_S, Capacity

QUEUE_FULL, LOST, OUTAGE = "queue_full", "lost", "outage"


@dataclass(frozen=True)
class Weather:
    """What a link does to packets for some time, beside its rate.

    Attributes:
        seconds: how long it lasts.
        delay_ms: time under way, one direction, after the queue.
        jitter_ms: standard deviation of an addition to it; packets stay in order.
        loss: share of packets lost at random.
        reorder: share of packets that are held back by `reorder_ms`, so that later ones overtake.
        dead: nothing that comes in gets through.
    """

    seconds: float
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 10.0
    dead: bool = False


class Forecast:
    """Say which weather holds at a moment; the list repeats for ever."""

    def __init__(self, weather: Sequence[Weather]) -> None:
        self._weather = [item for item in weather if item.seconds > 0]
        if not self._weather:
            raise ValueError("no weather lasts")
        self._ends: list[int] = []
        end = 0
        for item in self._weather:
            end += round(item.seconds * NS_PER_S)
            self._ends.append(end)

    def at(self, now_ns: int) -> Weather:
        """Return what holds at `now_ns`; before the beginning, the first."""
        position = max(now_ns, 0) % self._ends[-1]
        return self._weather[bisect_right(self._ends, position)]


class Path:
    """A drop-tail queue of bounded bytes before a bottleneck, then a delay.

    The queue is served in order at the link's capacity, so a packet's departure is known when it comes in; nothing
    has to be stepped. Link time starts at 0; before it packets wait for the delay alone.
    """

    def __init__(self, capacity: Capacity, forecast: Forecast, limit_bytes: int, seed: int) -> None:
        self._capacity, self._forecast = capacity, forecast
        self._limit = limit_bytes
        self._random = random.Random(seed)
        self._queued: deque[tuple[int, int]] = deque()  # (departure, size) of packets in the queue
        self._backlog = 0
        self._last_departure = 0
        self._last_arrival = -(1 << 62)
        self._flight: list[tuple[int, int, bytes]] = []  # heap by arrival, then order
        self._count = 0

    def push(self, now_ns: int, packet: bytes) -> tuple[str | None, int]:
        """Take a packet that enters the link now.

        Returns:
            (reason it was dropped or None, moment in ns at which it leaves the queue).
        """
        weather, size = self._forecast.at(now_ns), len(packet)
        departure = now_ns
        if now_ns >= 0:
            if weather.dead:
                return OUTAGE, now_ns
            if weather.loss and self._random.random() < weather.loss:
                return LOST, now_ns
            self._drain(now_ns)
            if self._backlog + size > self._limit:
                return QUEUE_FULL, now_ns
            departure = self._capacity.finish(max(now_ns, self._last_departure), size)
            self._last_departure = departure
            self._queued.append((departure, size))
            self._backlog += size
        self._launch(departure, weather, packet)
        return None, departure

    def _launch(self, departure: int, weather: Weather, packet: bytes) -> None:
        """Send a packet on its way after the queue."""
        jitter = abs(self._random.gauss(0.0, weather.jitter_ms)) if weather.jitter_ms else 0.0
        arrival = departure + round((weather.delay_ms + jitter) * NS_PER_MS)
        if weather.reorder and self._random.random() < weather.reorder:
            arrival += round(weather.reorder_ms * NS_PER_MS)
        else:
            arrival = self._last_arrival = max(arrival, self._last_arrival)
        self._count += 1
        heapq.heappush(self._flight, (arrival, self._count, packet))

    def pop(self, now_ns: int) -> list[tuple[int, bytes]]:
        """Return (moment it was due, packet) for all that have arrived."""
        arrived = []
        while self._flight and self._flight[0][0] <= now_ns:
            due, _, packet = heapq.heappop(self._flight)
            arrived.append((due, packet))
        return arrived

    @property
    def next_ns(self) -> int | None:
        """Return when the next packet arrives; None when none is under way."""
        return self._flight[0][0] if self._flight else None

    def backlog(self, now_ns: int) -> int:
        """Return the bytes in the queue."""
        self._drain(now_ns)
        return self._backlog

    def _drain(self, now_ns: int) -> None:
        while self._queued and self._queued[0][0] <= now_ns:
            self._backlog -= self._queued.popleft()[1]
