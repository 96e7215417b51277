from __future__ import annotations

import pytest

from common.stream.messages import Mode
from edge.plan import StreamPlan


@pytest.mark.parametrize(
    ("camera", "fps", "wait"), [("v4l2:0", None, False), ("v4l2:0", 0.0, True), ("kitti:x", None, True)]
)
def test_who_waits(camera: str, fps: float | None, wait: bool) -> None:
    assert StreamPlan(camera, "h:1", "car", fps=fps).wait is wait


@pytest.mark.parametrize(
    ("changes", "comes_back"),
    [
        ({}, False),
        ({"fps": 10.0}, True),
        ({"fps": 10.0, "reconnect": False}, False),
        ({"reconnect": True}, True),
        ({"mode": Mode.DURABLE, "reconnect": False}, True),
    ],
)
def test_who_comes_back_after_a_cut(changes, comes_back: bool) -> None:
    assert StreamPlan("kitti:x", "h:1", "car", **changes).comes_back is comes_back


def test_pace() -> None:
    assert StreamPlan("c", "h:1", "car", fps=0.0).pace_fps is None
    assert StreamPlan("c", "h:1", "car", fps=3.0).pace_fps == 3.0
