"""Choose the quality index from how the stream is doing: pure, time comes in as an argument.

The rule, on purpose a simple one:

- **Congested** when the send queue is filled to a quarter or more, or when the frame that waits longest for
  its ack has waited longer than `lag_limit_ms`. Then one step down, at most one each `down_interval_ms`: a
  step has to show its effect before the next.
- **Clear** when the send queue holds at most one frame and no ack lags beyond half the limit. After
  `up_interval_ms` of clear time without a break, one step up.
- In between, nothing changes (and the clear time starts over).

Down is quick and up is slow, so the quality does not swing.
"""

from __future__ import annotations

from dataclasses import dataclass

HIGHEST_QUALITY = 7
START_QUALITY = 4
_NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Load:
    """What the rule looks at.

    Attributes:
        queued: frames in the send queue.
        capacity: what the send queue holds at most.
        lag_ms: age of the oldest frame sent and not acknowledged; 0 without one.
    """

    queued: int
    capacity: int
    lag_ms: float


@dataclass(frozen=True)
class RateRule:
    """The rule's constants."""

    lag_limit_ms: float = 1000.0
    down_interval_ms: float = 500.0
    up_interval_ms: float = 3000.0
    lowest: int = 0
    highest: int = HIGHEST_QUALITY


class RateController:
    """Follow the load with the quality index (0 to 7, higher is better and larger)."""

    def __init__(self, rule: RateRule | None = None, start: int = START_QUALITY) -> None:
        self.rule = rule or RateRule()
        self.quality = min(max(start, self.rule.lowest), self.rule.highest)
        self._last_down_ns: int | None = None
        self._clear_since_ns: int | None = None

    def update(self, now_ns: int, load: Load) -> int:
        """Return the quality for the next frame; `now_ns` is any clock that never goes back."""
        rule = self.rule
        if 4 * load.queued >= max(load.capacity, 8) or load.lag_ms > rule.lag_limit_ms:
            self._clear_since_ns = None
            if (
                self._last_down_ns is None
                or now_ns - self._last_down_ns >= rule.down_interval_ms * _NS_PER_MS
            ):
                self._last_down_ns = now_ns
                self.quality = max(self.quality - 1, rule.lowest)
        elif load.queued <= 1 and load.lag_ms <= rule.lag_limit_ms / 2:
            if self._clear_since_ns is None:
                self._clear_since_ns = now_ns
            if now_ns - self._clear_since_ns >= rule.up_interval_ms * _NS_PER_MS:
                self._clear_since_ns = now_ns
                self.quality = min(self.quality + 1, rule.highest)
        else:
            self._clear_since_ns = None
        return self.quality
