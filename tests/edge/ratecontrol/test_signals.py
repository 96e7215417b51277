from __future__ import annotations

import pytest

from edge.ratecontrol.signals import Feedback

MS = 1_000_000


@pytest.mark.parametrize(("cloud_ms", "want"), [(0.0, 80.0), (30.0, 50.0), (200.0, 0.0)])
def test_network_time_is_without_the_clouds_part(cloud_ms: float, want: float) -> None:
    assert Feedback(20 * MS, 100 * MS, 500, cloud_ms).network_ms == want
