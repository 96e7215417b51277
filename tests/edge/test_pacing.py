from __future__ import annotations

import pytest

from edge.pacing import Pacer

MS = 1_000_000


def test_frames_at_hand_leave_at_the_rate() -> None:
    pacer = Pacer(10)
    now, left = 5 * MS, []
    for _ in range(4):
        now += round(pacer.delay_s(now) * 1e9)
        left.append(now)
        now += 30 * MS  # the work between frames does not slow the rate
    assert left == [5 * MS, 105 * MS, 205 * MS, 305 * MS]


def test_late_frames_leave_at_once_without_a_burst_after() -> None:
    pacer = Pacer(10)
    assert pacer.delay_s(0) == 0
    assert pacer.delay_s(450 * MS) == 0
    assert pacer.delay_s(460 * MS) == pytest.approx(0.09)


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_bad_rates(fps: float) -> None:
    with pytest.raises(ValueError, match="no rate"):
        Pacer(fps)
