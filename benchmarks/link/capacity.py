"""How many bytes a link carries when: pure functions of time.

Time is link time in nanoseconds: 0 where the measurement begins. What is asked in order (`finish`) may keep state.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

from benchmarks.link.trace import PACKET_BYTES

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Capacity(Protocol):
    """When bytes leave a link that works through its queue in order."""

    def finish(self, start_ns: int, size: int) -> int:
        """Return when `size` bytes have left that came to the head of the queue at `start_ns`.

        Calls come in order: `start_ns` is never before the last answer.
        """

    def bytes_between(self, begin_ns: int, end_ns: int) -> float:
        """Return the bytes that could leave between two moments."""


class SteppedCapacity:
    """A rate that is constant within each step; the steps repeat for ever."""

    def __init__(self, steps: Sequence[tuple[float, float]]) -> None:
        """Take (seconds, bits a second) pairs; a rate may be 0, but not all of them.

        Raises:
            ValueError: no step lasts, or none carries anything.
        """
        if not any(seconds > 0 and rate > 0 for seconds, rate in steps):
            raise ValueError("a link that never carries anything")
        self._ends: list[int] = []
        self._rates: list[float] = []  # bytes per ns
        self._sums: list[float] = [0.0]  # bytes up to the beginning of each step
        end = 0
        for seconds, rate in steps:
            length = round(seconds * NS_PER_S)
            if length <= 0:
                continue
            end += length
            self._ends.append(end)
            self._rates.append(rate / 8 / NS_PER_S)
            self._sums.append(self._sums[-1] + length * self._rates[-1])
        self._period = end

    def finish(self, start_ns: int, size: int) -> int:
        """Return when `size` bytes have left that began at `start_ns`."""
        rounds, at = divmod(start_ns, self._period)
        whole = max(0, math.ceil(size / self._sums[-1]) - 1)  # rounds that are used up entirely
        rounds, left = rounds + whole, size - whole * self._sums[-1]
        index = bisect_right(self._ends, at)
        while True:
            rate, end = self._rates[index], self._ends[index]
            fits = (end - at) * rate
            if rate > 0 and fits >= left:
                return int(rounds * self._period + at + left / rate)
            left -= fits
            at, index = end, index + 1
            if index == len(self._ends):
                at, index, rounds = 0, 0, rounds + 1

    def bytes_between(self, begin_ns: int, end_ns: int) -> float:
        """Return the bytes that could leave between two moments."""
        return self._until(end_ns) - self._until(begin_ns)

    def _until(self, at_ns: int) -> float:
        rounds, at = divmod(at_ns, self._period)
        index = bisect_right(self._ends, at)
        begin = self._ends[index - 1] if index else 0
        return rounds * self._sums[-1] + self._sums[index] + (at - begin) * self._rates[index]


class TraceCapacity:
    """Opportunities of a mahimahi trace, 1500 bytes each, used as mahimahi's link shell uses them.

    Small packets share an opportunity, large ones take several; what is left of one when the queue runs empty is
    lost.
    """

    def __init__(self, moments_ms: Sequence[int]) -> None:
        self._moments = [moment * NS_PER_MS for moment in moments_ms]
        self._period = self._moments[-1]
        self._used_ns: int | None = None  # the opportunity used last, and what it still offers
        self._left = 0
        self._next = 0  # number of the next opportunity, over all repetitions

    def finish(self, start_ns: int, size: int) -> int:
        """Return when the last of `size` bytes leaves that came to the head of the queue at `start_ns`."""
        if self._used_ns is not None and start_ns <= self._used_ns:
            taken = min(size, self._left)
            self._left -= taken
            size -= taken
            if size == 0:
                return self._used_ns
        else:
            self._left = 0
        self._next = max(self._next, self._first_at(start_ns))
        while size > 0:
            self._used_ns = self._time_of(self._next)
            self._next += 1
            taken = min(size, PACKET_BYTES)
            self._left = PACKET_BYTES - taken
            size -= taken
        return self._used_ns if self._used_ns is not None else start_ns

    def bytes_between(self, begin_ns: int, end_ns: int) -> float:
        """Return the bytes of all opportunities from `begin_ns` to before `end_ns`."""
        return float((self._first_at(end_ns) - self._first_at(begin_ns)) * PACKET_BYTES)

    def _first_at(self, at_ns: int) -> int:
        """Return the number of the first opportunity at or after a moment."""
        rounds, at = divmod(at_ns, self._period)
        if at == 0 and rounds:  # the last opportunities of the round before are at this very moment
            rounds, at = rounds - 1, self._period
        return rounds * len(self._moments) + bisect_left(self._moments, at)

    def _time_of(self, number: int) -> int:
        rounds, index = divmod(number, len(self._moments))
        return rounds * self._period + self._moments[index]
