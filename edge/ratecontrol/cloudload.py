"""Thin frames out while the cloud's own queue grows."""

from __future__ import annotations

from edge.ratecontrol.rule import RateRule
from edge.ratecontrol.signals import NS_PER_S, CloudHint

_DOWN_INTERVAL_NS = NS_PER_S
_UP_INTERVAL_NS = 2 * NS_PER_S


class CloudLoad:
    """Turn hints into a frame divisor.

    A hint of a crowded cloud (a queue older than `hint_limit_ms`, or longer than `hint_frames`) doubles the divisor, at
    most once a second, so that a step can show its effect. Once a hint says otherwise, or none came for
    `hint_forget_s`, the divisor halves every two seconds. The window of the last hint bounds the frames under way.
    """

    def __init__(self, rule: RateRule) -> None:
        self._rule = rule
        self._divisor = 1
        self._crowded = False
        self._window: int | None = None
        self._hint_ns: int | None = None
        self._change_ns: int | None = None

    def hint(self, now_ns: int, hint: CloudHint) -> None:
        """Take one hint."""
        rule = self._rule
        self._hint_ns, self._window = now_ns, max(1, hint.window)
        self._crowded = hint.queue_ms > rule.hint_limit_ms or hint.queued > rule.hint_frames
        if self._crowded and self._since_change(now_ns, _DOWN_INTERVAL_NS):
            self._divisor = min(2 * self._divisor, rule.highest_divisor)
            self._change_ns = now_ns

    def divisor(self, now_ns: int) -> int:
        """Return the divisor in force."""
        if self._divisor > 1 and self._calm(now_ns) and self._since_change(now_ns, _UP_INTERVAL_NS):
            self._divisor //= 2
            self._change_ns = now_ns
        return self._divisor

    def closed(self, in_flight: int) -> bool:
        """Tell whether the window of the last hint is used up."""
        return self._window is not None and in_flight >= self._window

    def _calm(self, now_ns: int) -> bool:
        forgotten = self._hint_ns is None or now_ns - self._hint_ns > self._rule.hint_forget_s * NS_PER_S
        return forgotten or not self._crowded

    def _since_change(self, now_ns: int, interval_ns: int) -> bool:
        return self._change_ns is None or now_ns - self._change_ns >= interval_ns
