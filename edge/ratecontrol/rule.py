"""The rate controller's constants."""

from __future__ import annotations

from dataclasses import dataclass

HIGHEST_DIVISOR = 16


@dataclass(frozen=True)
class RateRule:
    """The rule's constants; the controller's docstring says what each does.

    Attributes:
        limit_ms: queueing delay above which the link counts as overloaded.
        clear_ms: queueing delay below which it counts as free.
        base_share: both limits are at least this share of the round trip without a queue.
        rise_ms_s: growth of the queueing delay, in ms a second, that counts as overload above `clear_ms`.
        backoff: share of the measured capacity that is used, less what drains the queue, during an overload.
        settle: share of it that is used after one.
        drain_s: time in which a queue is to drain.
        growth: factor a second by which the rate grows on a free link, beyond what was measured.
        hold_s: time after an overload during which the measured capacity is believed.
        hold_most_s: the same after several failed attempts to go beyond it.
        pause_ms: queueing delay above which nothing is sent behind what is under way: it would come too late.
        step_up_ms: least time between two steps up, unless the capacity is known to be there.
        proofs: frames of the present rung to be acknowledged before the next step up.
        lag_limit_ms: lag that counts as overload when no frame was ever announced.
        hint_limit_ms: age of the cloud's queue above which frames are thinned out.
        hint_frames: frames in it, the same.
        hint_forget_s: time after which a hint no longer counts.
        lowest: lowest quality.
        highest: highest quality.
        highest_divisor: largest frame divisor.
    """

    limit_ms: float = 300.0
    clear_ms: float = 120.0
    base_share: float = 0.5
    rise_ms_s: float = 250.0
    backoff: float = 0.9
    settle: float = 0.95
    drain_s: float = 1.0
    growth: float = 2.0
    hold_s: float = 1.5
    hold_most_s: float = 20.0
    pause_ms: float = 600.0
    step_up_ms: float = 250.0
    proofs: int = 2
    lag_limit_ms: float = 1000.0
    hint_limit_ms: float = 250.0
    hint_frames: int = 16
    hint_forget_s: float = 5.0
    lowest: int = 0
    highest: int = 7
    highest_divisor: int = HIGHEST_DIVISOR
