"""Counters and percentiles for reports, bounded in memory however long a stream runs."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Sequence

DEFAULT_SAMPLES = 10_000


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the ascending `ordered` lies, interpolated."""
    if not ordered:
        return math.nan
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class Samples:
    """Collect numbers: count, mean and maximum over all, percentiles over the latest ones. Thread-safe."""

    def __init__(self, capacity: int = DEFAULT_SAMPLES) -> None:
        self._latest: deque[float] = deque(maxlen=capacity)
        self._count = 0
        self._sum = 0.0
        self._max = -math.inf
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Take one more number."""
        with self._lock:
            self._latest.append(value)
            self._count += 1
            self._sum += value
            self._max = max(self._max, value)

    @property
    def count(self) -> int:
        """Return how many numbers were taken."""
        return self._count

    def summary(self) -> dict[str, float] | None:
        """Return count, mean, p50, p95, p99 and max, rounded to 3 decimals; None when nothing was taken."""
        with self._lock:
            if not self._count:
                return None
            ordered = sorted(self._latest)
            mean, largest, count = self._sum / self._count, self._max, self._count
        numbers = {"mean": mean, "max": largest}
        numbers |= {f"p{round(100 * share)}": percentile(ordered, share) for share in (0.5, 0.95, 0.99)}
        order = ("mean", "p50", "p95", "p99", "max")
        return {"count": count, **{name: round(numbers[name], 3) for name in order}}


class Tally:
    """Count events by name. Thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, count: int = 1) -> None:
        """Count `count` more events called `name`."""
        with self._lock:
            self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    @property
    def total(self) -> int:
        """Return the number of events of all names."""
        with self._lock:
            return sum(self._counts.values())

    def as_dict(self) -> dict[str, int]:
        """Return name -> count, by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))
