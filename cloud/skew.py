"""The difference between the clocks of two devices that should share one: pure, in capture times alone.

Views from two devices pair by capture time, so their clocks have to agree. When one is set wrong by more than
anything that lateness explains, no side view ever fits a main frame, although both keep coming: then the difference
between a main frame and the side view that arrived last before it is the same again and again, and it is the skew.
Smaller differences cannot be told from a frame or two of delay and are left alone.
"""

from __future__ import annotations

from collections import deque
from statistics import median_low

EVIDENCE = 8
"""Main frames that a decision is made of ..."""
AGREEING = 6
"""... and how many of them have to say the same."""
REMEMBERED = 256
"""Main frames in whose time a side view counts as merely late."""


class ClockSkew:
    """Watch arrivals and estimate what has to be added to a side view's capture time."""

    def __init__(self, tolerance_ns: int, least_ns: int) -> None:
        """Begin without a skew.

        Args:
            tolerance_ns: how far apart differences that say the same may be.
            least_ns: a smaller difference is no skew.
        """
        self.ns = 0
        self._tolerance_ns, self._least_ns = tolerance_ns, least_ns
        self._differences: deque[int] = deque(maxlen=EVIDENCE)
        self._mains: deque[int] = deque(maxlen=REMEMBERED)

    def main_arrived(self, capture_ns: int, side_ns: int | None) -> bool:
        """Take a main frame and the capture time of the side view that arrived last; tell whether `ns` changed."""
        late = side_ns is not None and self._in_memory(side_ns)
        self._mains.append(capture_ns)
        if side_ns is None:
            return False
        self._differences.append(capture_ns - side_ns)
        if len(self._differences) < EVIDENCE:
            return False
        if self.ns and sum(abs(d - self.ns) <= self._least_ns for d in self._differences):
            return False  # still plausible: a skew once seen is kept until nothing fits it any more
        middle = median_low(self._differences)
        agreeing = sum(abs(d - middle) <= self._tolerance_ns for d in self._differences)
        found = middle if agreeing >= AGREEING and abs(middle) > self._least_ns and not late else 0
        changed, self.ns = found != self.ns, found
        return changed

    def _in_memory(self, side_ns: int) -> bool:
        """Tell whether a side view was captured while main frames we remember were: then it is late, not skewed."""
        return bool(self._mains) and min(self._mains) - self._tolerance_ns <= side_ns <= max(self._mains)
