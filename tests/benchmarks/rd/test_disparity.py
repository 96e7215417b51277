"""Disparity cut by a protocol, KITTI's files, and errors that can be worked out on paper."""

import cv2
import numpy as np
import pytest

from benchmarks.rd.disparity import GroundTruth, cut_truth, errors, oracle_truth
from benchmarks.rd.protocol import Sample, paper_view
from common.errors import DatasetError


def sample_of(main, side, name="set/000003"):
    return Sample(name, main, side, 0, main, side)


def test_full_size_keeps_disparity_and_leaves_out_what_the_side_view_does_not_show():
    truth = cut_truth(np.full((4, 20), 5.0, np.float32), np.ones((4, 20), bool), "full")
    assert truth.scale == 1.0
    assert not truth.known[:, :5].any() and truth.known[:, 5:].all()


def test_the_small_protocol_scales_disparity_with_the_picture():
    height, width = 375, 1242
    disparity = np.full((height, width), 37.0, np.float32)
    known = np.ones((height, width), bool)
    known[:, :700] = False
    truth = cut_truth(disparity, known, "128x256")
    assert truth.disparity.shape == (128, 256)
    assert truth.disparity[0, 0] == pytest.approx(37.0 * 256 / 740)
    # The crop begins at column 251; the first known column, 700, lands at (700 - 251) * 256 / 740 = 155.3.
    assert not truth.known[:, :155].any() and truth.known[:, 156:].all()


def test_cut_disparity_stays_with_the_cut_picture():
    """A step of disparity must lie where the same step of brightness lies after `paper_view`."""
    step = np.zeros((375, 1242), np.float32)
    step[:, 621:] = 20.0
    truth = cut_truth(step, np.ones(step.shape, bool), "128x256")
    picture = paper_view(np.repeat((step * 10).astype(np.uint8)[:, :, None], 3, 2))
    bright = picture[64, :, 0] > 100
    assert np.array_equal(truth.disparity[64] > 1, bright)


def test_errors_are_in_camera_pixels():
    truth = cut_truth(np.full((375, 1242), 37.0, np.float32), np.ones((375, 1242), bool), "128x256")
    off = truth.disparity + np.float32(2.0 * truth.scale)  # two pixels of the camera everywhere
    found = errors(off, truth)
    assert found["mae_px"] == pytest.approx(2.0, abs=1e-3)
    assert (found["over_1px"], found["over_3px"]) == (1.0, 0.0)
    assert found["pixels"] == pytest.approx(truth.known.mean())


def test_errors_may_be_narrowed_and_may_be_of_nothing():
    truth = cut_truth(np.zeros((2, 10), np.float32), np.ones((2, 10), bool), "full")
    wrong = np.zeros((2, 10), np.float32)
    wrong[:, :5] = 4.0
    assert errors(wrong, truth)["over_3px"] == 0.5
    right_half = np.arange(10)[None].repeat(2, 0) >= 5
    assert errors(wrong, truth, right_half) == {
        "mae_px": 0.0,
        "over_1px": 0.0,
        "over_3px": 0.0,
        "pixels": 0.5,
    }
    assert errors(wrong, truth, np.zeros((2, 10), bool)) == {}


def test_the_oracle_finds_a_plane():
    rng = np.random.default_rng(0)
    world = cv2.resize(rng.integers(0, 255, (48, 150, 3), dtype=np.uint8), (300, 96))
    truth = oracle_truth(sample_of(world[:, 40:260].copy(), world[:, 52:272].copy()), "full")
    assert truth.known.mean() > 0.7
    assert np.median(truth.disparity[truth.known]) == pytest.approx(12, abs=0.2)


@pytest.fixture
def folder(tmp_path):
    raw = np.zeros((375, 1242), np.uint16)
    raw[200:, :] = 5 * 256 + 128
    for name in ("000003_10.png", "drive/000004.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), raw)
    return tmp_path


def test_kitti_files_are_found_by_their_stem_and_read_in_their_unit(folder):
    view = np.zeros((375, 1242, 3), np.uint8)
    truth = GroundTruth(folder).truth(sample_of(view, view), "full")
    assert not truth.known[:200].any() and truth.known[200:, 6:].all()
    assert truth.disparity[300, 600] == 5.5
    found = GroundTruth(folder)
    assert found.find("drive/000004") == folder / "drive" / "000004.png"
    assert found.find("drive/000003") is None, "another data set's frame of the same number is not this one's"
    assert found.truth(sample_of(view, view, "set/000099"), "full") is None


def test_bad_ground_truth_is_named(folder, tmp_path):
    small = np.zeros((100, 100, 3), np.uint8)
    with pytest.raises(DatasetError, match="does not fit"):
        GroundTruth(folder).truth(sample_of(small, small), "full")
    cv2.imwrite(str(folder / "000003_10.png"), np.zeros((100, 100), np.uint8))
    with pytest.raises(DatasetError, match="16-bit"):
        GroundTruth(folder).truth(sample_of(small, small), "full")
    with pytest.raises(DatasetError, match="no such folder"):
        GroundTruth(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no PNG"):
        GroundTruth(tmp_path / "empty")
