from __future__ import annotations

from edge.ratecontrol.ladder import HIGHEST_QUALITY
from edge.ratecontrol.rule import RateRule


def test_the_limits_are_in_order() -> None:
    rule = RateRule()
    assert rule.clear_ms < rule.limit_ms < rule.pause_ms
    assert 0 < rule.backoff < 1 < rule.growth
    assert rule.hold_s <= rule.hold_most_s
    assert (rule.lowest, rule.highest) == (0, HIGHEST_QUALITY)
