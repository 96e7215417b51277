from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.errors import FrameSizeError
from common.synthetic import StereoStreet
from common.synthetic.labels import BUILDING, ROAD, SKY


def warp(side: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """Fetch for every main pixel what the side view shows at x - disparity."""
    height, width = disparity.shape
    map_x = np.arange(width, dtype=np.float32)[None] - disparity
    map_y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    return cv2.remap(side, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1)


def test_shapes_and_types(ideal_street: StereoStreet) -> None:
    frame = ideal_street.frame(0)
    assert frame.main.shape == frame.side.shape == (128, 416, 3)
    assert frame.main.dtype == frame.side.dtype == np.uint8
    assert frame.main.flags.c_contiguous and frame.side.flags.c_contiguous
    assert frame.disparity.shape == (128, 416) and frame.disparity.dtype == np.float32
    assert frame.labels.shape == (128, 416) and frame.labels.dtype == np.uint8
    assert set(np.unique(frame.labels)) <= {*range(19), 255}
    assert frame.caption.startswith("a street with ")


@pytest.mark.parametrize("index", [0, 7])
def test_the_side_view_warped_by_the_disparity_is_the_main_view(
    ideal_street: StereoStreet, index: int
) -> None:
    seconds = index / ideal_street.fps
    street = ideal_street.street
    main, side = ideal_street._renderer.draw(street.pose(seconds), street.instances(seconds))
    seen_in_both = np.abs(warp(side.disparity, main.disparity) - main.disparity) < 0.5
    error = np.abs(warp(side.image.astype(np.float32), main.disparity) - main.image).mean(axis=2)
    assert seen_in_both.mean() > 0.85
    assert error[seen_in_both].mean() < 3.0
    # One pixel off is clearly worse: the test would notice.
    off = np.abs(warp(side.image.astype(np.float32), main.disparity + 1) - main.image).mean(axis=2)
    assert off[seen_in_both].mean() > 2 * error[seen_in_both].mean()


def test_disparity_obeys_the_geometry(ideal_street: StereoStreet) -> None:
    frame, rig = ideal_street.frame(0), ideal_street.rig
    assert (frame.disparity >= 0).all()
    assert np.abs(frame.disparity[frame.labels == SKY]).max() == 0
    # The road right in front of the car: depth = camera height x focal / rows under the horizon.
    rows = np.flatnonzero((frame.labels[:, 200:216] == ROAD).all(axis=1))[-5:]
    expected = rig.baseline_m * (rows - rig.centre_y) / 1.65
    assert np.allclose(frame.disparity[rows, 208], expected, rtol=0.12)


def test_it_looks_like_a_street(ideal_street: StereoStreet) -> None:
    frame = ideal_street.frame(2)
    shares = np.bincount(frame.labels.ravel(), minlength=256) / frame.labels.size
    assert shares[ROAD] > 0.1 and shares[BUILDING] > 0.05
    assert (frame.labels[-1, 150:250] == ROAD).mean() > 0.5
    assert frame.main.std() > 20


def test_frames_depend_on_seed_and_index_alone() -> None:
    first, second = StereoStreet(11, 64, 128), StereoStreet(11, 64, 128)
    a = [first.frame(i) for i in (0, 1, 5)]
    b = [second.frame(i) for i in (5, 0, 1)]
    for x, y in ((a[0], b[1]), (a[1], b[2]), (a[2], b[0])):
        assert np.array_equal(x.main, y.main) and np.array_equal(x.side, y.side)
        assert np.array_equal(x.disparity, y.disparity) and x.caption == y.caption
    assert not np.array_equal(a[0].main, a[1].main)
    assert not np.array_equal(a[0].main, StereoStreet(12, 64, 128).frame(0).main)


def test_the_rate_sets_the_time_between_frames() -> None:
    slow, fast = StereoStreet(4, 64, 128, fps=5), StereoStreet(4, 64, 128, fps=10)
    assert slow.capture_ns(3) - slow.capture_ns(2) == 200_000_000
    assert slow.capture_ns(2) == fast.capture_ns(4)
    assert np.array_equal(slow.frame(2).disparity, fast.frame(4).disparity)


def test_consecutive_frames_are_a_smooth_drive(ideal_street: StereoStreet) -> None:
    eyes = np.array([ideal_street.street.pose(i / 10).eye for i in range(100)])
    steps = np.diff(eyes, axis=0)
    assert (steps[:, 2] > 0.2).all() and (steps[:, 2] < 2.0).all()
    assert np.abs(np.diff(steps, axis=0)).max() < 0.1


def test_two_real_cameras_differ_a_little() -> None:
    ideal, real = StereoStreet(6, 64, 128, ideal=True).frame(0), StereoStreet(6, 64, 128).frame(0)
    difference = np.abs(ideal.main.astype(int) - real.main)
    assert 0.2 < difference.mean() < 12
    assert np.array_equal(ideal.disparity, real.disparity)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 211), (300, 128)])
def test_any_size_draws(height: int, width: int) -> None:
    assert StereoStreet(1, height, width).frame(3).main.shape == (height, width, 3)


@pytest.mark.parametrize(("height", "width"), [(0, 100), (63, 100), (100, 4097)])
def test_impossible_sizes_are_refused(height: int, width: int) -> None:
    with pytest.raises(FrameSizeError, match=f"{height}x{width}"):
        StereoStreet(1, height, width)
