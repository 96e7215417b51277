"""A set of whole numbers kept as the runs it consists of: millions of consecutive ones cost as much as two."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator


class Intervals:
    """Hold numbers of 0 and above as ascending runs that do not touch each other."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        """Return how many numbers are in it."""
        return self._count

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give (first, last) of each run, ascending."""
        return zip(self._firsts, self._lasts, strict=True)

    @property
    def runs(self) -> int:
        """Count the runs: what the set costs in memory."""
        return len(self._firsts)

    @property
    def highest(self) -> int:
        """Return the largest number, -1 without one."""
        return self._lasts[-1] if self._lasts else -1

    def touches(self, number: int) -> bool:
        """Tell whether adding `number` opens no further run."""
        at = bisect_right(self._firsts, number) - 1
        return (at >= 0 and number <= self._lasts[at] + 1) or (
            at + 1 < len(self._firsts) and self._firsts[at + 1] == number + 1
        )

    def add(self, number: int) -> bool:
        """Put `number` in; return whether it is new."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and number == lasts[-1] + 1:  # in order, as nearly all come
            lasts[-1] = number
            self._count += 1
            return True
        at = bisect_right(firsts, number) - 1
        if at >= 0 and number <= lasts[at]:
            return False
        below = at >= 0 and lasts[at] == number - 1
        above = at + 1 < len(firsts) and firsts[at + 1] == number + 1
        if below and above:
            lasts[at] = lasts.pop(at + 1)
            del firsts[at + 1]
        elif below:
            lasts[at] = number
        elif above:
            firsts[at + 1] = number
        else:
            firsts.insert(at + 1, number)
            lasts.insert(at + 1, number)
        self._count += 1
        return True

    def next_missing(self, floor: int = 0) -> int:
        """Return the smallest number at or above `floor` that is not in it."""
        at = bisect_right(self._firsts, floor) - 1
        return self._lasts[at] + 1 if at >= 0 and floor <= self._lasts[at] else floor

    def above(self, floor: int, limit: int) -> tuple[tuple[int, int], ...]:
        """Return the first `limit` runs that begin at or above `floor`, as (first, last)."""
        at = bisect_right(self._firsts, floor - 1)
        return tuple(zip(self._firsts[at : at + limit], self._lasts[at : at + limit], strict=True))

    def copy(self) -> Intervals:
        """Return a set of the same numbers."""
        other = Intervals()
        other._firsts, other._lasts, other._count = self._firsts[:], self._lasts[:], self._count
        return other
