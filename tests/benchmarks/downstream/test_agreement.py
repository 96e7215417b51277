"""Agreement, on answers small enough to count by hand."""

import numpy as np
import pytest

from benchmarks.downstream.agreement import (
    class_counts,
    disparity,
    interval,
    mean_iou,
    motion,
    segmentation,
)
from common.errors import UsageError


def test_segmentation_counts():
    reference = np.array([[0, 0, 1], [1, 2, 3]], np.uint8)
    found = np.array([[0, 1, 1], [1, 2, 2]], np.uint8)
    row = segmentation(reference, found, 4)
    assert row["seg_agreement"] == pytest.approx(4 / 6)
    assert row["seg_same"] == [1, 2, 1, 0]
    assert row["seg_either"] == [2, 3, 2, 1]
    assert row["seg_reference"] == [2, 2, 1, 1]
    counts = class_counts([row])
    assert mean_iou(counts, 3) == pytest.approx(
        (1 / 2 + 2 / 3 + 1 / 2) / 3
    )  # the fourth class does not count
    assert mean_iou(counts, 4) == pytest.approx((1 / 2 + 2 / 3 + 1 / 2 + 0) / 4)


def test_mean_iou_adds_pictures_up_and_ignores_absent_classes():
    first = segmentation(np.zeros((1, 4), np.uint8), np.array([[0, 0, 0, 1]], np.uint8), 3)
    assert mean_iou(class_counts([first]), 3) == pytest.approx(3 / 4)  # class 1 is nowhere in the reference
    second = segmentation(np.ones((1, 4), np.uint8), np.ones((1, 4), np.uint8), 3)
    assert mean_iou(class_counts([first, second]), 3) == pytest.approx((3 / 4 + 4 / 5) / 2)
    only_background = segmentation(np.full((1, 4), 2, np.uint8), np.zeros((1, 4), np.uint8), 3)
    assert mean_iou(class_counts([only_background]), 2) is None


def test_disparity_counts_missing_as_wrong():
    reference = np.array([[10, 10, 10, 10, 100, 7]], np.float32)
    found = np.array([[10.5, 12, 14, 10, 104, 7]], np.float32)
    no, gone = np.zeros((1, 6), bool), np.array([[0, 0, 0, 1, 0, 0]], bool)
    unknown = np.array([[0, 0, 0, 0, 0, 1]], bool)
    row = disparity(reference, no | unknown, found, gone)
    assert row["stereo_1px"] == pytest.approx(1 / 5)
    assert row["stereo_3px"] == pytest.approx(2 / 5)
    assert row["stereo_d1"] == pytest.approx(2 / 5)  # 4 px of 100 is within 5 %
    assert row["stereo_density"] == pytest.approx(5 / 6)


def test_disparity_without_a_reference():
    everything, zero = np.ones((2, 2), bool), np.zeros((2, 2), np.float32)
    row = disparity(zero, everything, zero, ~everything)
    assert (row["stereo_3px"], row["stereo_d1"], row["stereo_density"]) == (None, None, 1.0)


def test_motion_is_a_distance():
    reference, found = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.float32)
    found[0, 0] = (3, 4)
    row = motion(reference, found)
    assert row == {"flow_epe": 2.5, "flow_1px": 0.5, "flow_3px": 0.5}


def test_interval_is_seeded_and_covers_the_mean():
    values = np.random.default_rng(0).normal(5, 1, 40)
    low, high = interval(40, lambda drawn: float(values[drawn].mean()), 3)
    assert (low, high) == interval(40, lambda drawn: float(values[drawn].mean()), 3)
    assert (low, high) != interval(40, lambda drawn: float(values[drawn].mean()), 4)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 40**0.5, rel=0.15)


def test_no_interval_for_two_pictures_or_missing_values():
    assert interval(2, lambda drawn: 1.0, 0) is None
    assert interval(9, lambda drawn: None, 0) is None


def test_shapes_must_agree():
    with pytest.raises(UsageError, match="different shape"):
        segmentation(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 3)
