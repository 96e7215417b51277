"""Which frames are judged, and what follows them."""

import cv2
import numpy as np
import pytest

from benchmarks.downstream.scenes import open_scenes
from benchmarks.rd.protocol import SideView
from common.errors import UsageError

WEBP = SideView.parse("webp")


@pytest.fixture
def data(tmp_path):
    for name, count in (("drive", 3), ("pairs", 2)):
        for i in range(count):
            for view in ("left", "right"):
                (tmp_path / name / view).mkdir(parents=True, exist_ok=True)
                value = 10 * i + (100 if name == "pairs" else 0) + (5 if view == "right" else 0)
                cv2.imwrite(
                    str(tmp_path / name / view / f"{i:06d}.png"), np.full((64, 80, 3), value, np.uint8)
                )
    return str(tmp_path)


def test_only_drives_have_a_next_frame(data):
    scenes = list(open_scenes(data, WEBP, None, 1, ("drive",), 7).scenes())
    assert [s.name for s in scenes] == [f"drive/{i:06d}" for i in range(3)] + [
        f"pairs/{i:06d}" for i in range(2)
    ]
    assert [s.following is not None for s in scenes] == [True, True, False, False, False]
    assert scenes[1].read().main[0, 0, 0] == 10
    assert scenes[1].read().whole_side[0, 0, 0] == 15
    assert scenes[1].following()[0, 0, 0] == 20


def test_the_next_frame_is_the_drives_own_when_pairs_are_left_out(data):
    scenes = list(open_scenes(data, WEBP, 1, 1, ("drive",), 7).scenes())
    assert len(scenes) == 1
    assert scenes[0].following()[0, 0, 0] == 10


def test_wrong_names_are_errors(data):
    with pytest.raises(UsageError, match="no walk in"):
        open_scenes(data, WEBP, None, 1, ("walk",), 7)
    with pytest.raises(UsageError, match="--size"):
        open_scenes(data, WEBP, None, 1, (), 7, (64, 64))
    with pytest.raises(UsageError, match="--sequences"):
        open_scenes("synthetic", WEBP, None, 1, ("drive",), 7)
    with pytest.raises(UsageError, match="at least 1"):
        open_scenes("synthetic", WEBP, 0, 1, (), 7)


def test_the_synthetic_street_is_seeded_and_moves():
    scenes = list(open_scenes("synthetic", WEBP, 2, 1, (), 7, (96, 160)).scenes())
    again = list(open_scenes("synthetic", WEBP, 2, 1, (), 7, (96, 160)).scenes())
    other = list(open_scenes("synthetic", WEBP, 2, 1, (), 8, (96, 160)).scenes())
    assert [s.name for s in scenes] == ["synthetic/000000", "synthetic/000025"]
    first = scenes[0].read()
    assert first.main.shape == (96, 160, 3)
    assert np.array_equal(first.main, again[0].read().main)
    assert not np.array_equal(first.main, other[0].read().main)
    assert not np.array_equal(first.main, scenes[0].following())
    assert first.side_bytes > 0 and np.array_equal(first.side, first.whole_side)
