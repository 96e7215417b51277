"""Find the largest load that a server holds, asking about as few loads as it takes."""

from __future__ import annotations

from collections.abc import Callable

_GROWTH = 1.5


def largest_held(holds: Callable[[int], bool], start: int, most: int, step: int) -> int:
    """Return the largest number from 1 to `most` that `holds`, to within `step`; 0 when none does.

    Args:
        holds: runs one load; taken to be true up to some number and false from there on.
        start: the first load to ask about.
        most: never asks about more.
        step: how near the answer has to be.
    """
    low, high = 0, most + 1  # holds(low), not holds(high)
    ask = min(start, most)
    while high - low > step or (low == 0 and high > 1):
        if holds(ask):
            low = ask
        else:
            high = ask
        if low == most:
            return most
        grown = round(low * _GROWTH) if high > most else (low + high) // 2
        ask = max(low + 1, min(grown, most, high - 1))
        if ask >= high:
            break
    return low
