"""Say how long to wait before trying again: pure, chance comes in as an argument."""

from __future__ import annotations

FIRST_S = 0.2
MOST_S = 10.0
SLOW_S = (5.0, 10.0)


class Backoff:
    """Double the wait with each failure, up to a bound, and scatter it so that a fleet does not come at once."""

    def __init__(self, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._wait_s = first_s

    def next_s(self, chance: float) -> float:
        """Return the next wait in seconds: half to all of the doubling one, by `chance` (0 to 1)."""
        wait = self._wait_s
        self._wait_s = min(2 * wait, self._most_s)
        return wait * (0.5 + chance / 2)

    def slow_s(self, chance: float) -> float:
        """Return the wait after a refusal that only a person can lift, 5 to 10 s by `chance` (0 to 1)."""
        low, high = SLOW_S
        return low + (high - low) * chance

    def reset(self) -> None:
        """Start over: something went through."""
        self._wait_s = self._first_s
