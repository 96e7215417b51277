from __future__ import annotations

import pytest

from common.stream.messages import Hint
from edge.ratecontrol.cloudload import CloudLoad
from edge.ratecontrol.rule import RateRule

S = 1_000_000_000
CROWDED = [Hint(900.0, 4, 64), Hint(10.0, 40, 64)]
CALM = Hint(20.0, 1, 256)


@pytest.mark.parametrize("hint", CROWDED)
def test_a_crowded_cloud_halves_the_frame_rate_once_a_second(hint: Hint) -> None:
    cloud = CloudLoad(RateRule())
    seen = []
    for tenth in range(0, 50, 2):  # hints come each 200 ms
        cloud.hint(tenth * S // 10, hint)
        seen.append(cloud.divisor(tenth * S // 10))
    assert seen[0] == 2
    assert seen[:5] == [2] * 5
    assert seen[5] == 4
    assert max(seen) == 16


def test_it_recovers_after_a_calm_hint() -> None:
    cloud = CloudLoad(RateRule())
    for second in range(3):
        cloud.hint(second * S, CROWDED[0])
    assert cloud.divisor(2 * S) == 8
    cloud.hint(3 * S, CALM)
    assert [cloud.divisor(second * S) for second in (3, 4, 5, 6, 7, 8, 9)] == [8, 4, 4, 2, 2, 1, 1]


def test_it_recovers_when_hints_stop() -> None:
    cloud = CloudLoad(RateRule())
    cloud.hint(0, CROWDED[0])
    assert cloud.divisor(4 * S) == 2
    assert cloud.divisor(6 * S) == 1


def test_the_window_bounds_what_is_under_way() -> None:
    cloud = CloudLoad(RateRule())
    assert not cloud.closed(10_000)
    cloud.hint(0, Hint(900.0, 40, 3))
    assert [cloud.closed(count) for count in (2, 3, 4)] == [False, True, True]
