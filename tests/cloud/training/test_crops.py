"""cloud.training.crops: views, disparity and labels stay together; what goes wrong with a side view goes wrong."""

import random

import cv2
import numpy as np
import pytest
from flat_wall import shifted, textured

from cloud.training.crops import CropShape, Trouble, cut
from cloud.training.data import make_pair


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 0.5)])
def test_crops_warp_onto_each_other(scale):
    main = textured()
    pair = make_pair(main, shifted(main, 12))
    shape = CropShape(64, 128, 1, scale)
    for seed in range(6):
        sample = cut(pair, shape, random.Random(seed), Trouble())
        assert sample.main.shape == (64, 128, 3) and sample.present
        valid = sample.disparity >= 0
        assert abs(np.median(sample.disparity[valid]) - 12 * scale[0]) < 0.6
        d = round(12 * scale[0])
        error = np.abs(sample.main[:, d:].astype(int) - sample.side[:, :-d].astype(int)).mean()
        assert error < 3, "main column x is side column x - d, mirrored or not"


def test_an_enlarged_crop_is_the_small_one_enlarged():
    main = textured()
    pair = make_pair(main, shifted(main, 12))
    for seed in range(4):
        small = cut(pair, CropShape(64, 128, 1, (0.5, 0.5)), random.Random(seed), Trouble())
        large = cut(pair, CropShape(128, 256, 1, (0.5, 0.5), enlarged=2), random.Random(seed), Trouble())
        assert large.main.shape == large.side.shape == (128, 256, 3) and large.disparity.shape == (128, 256)
        for one, other in ((small.main, large.main), (small.side, large.side)):
            back = cv2.resize(other, (128, 64), interpolation=cv2.INTER_AREA)
            assert np.abs(one.astype(int) - back.astype(int)).mean() < 4
        known = small.disparity >= 0
        np.testing.assert_array_equal(large.disparity[::2, ::2] >= 0, known)
        np.testing.assert_allclose(large.disparity[::2, ::2][known], 2 * small.disparity[known])


def test_dropped_lossy_stale_and_wrong_side_views():
    main = textured()
    pair = make_pair(main, shifted(main, 12))
    old = textured(seed=5)
    pair.past = (make_pair(old, shifted(old, 12)),)
    shape = CropShape(64, 128, 1, (1.0, 1.0))
    assert not cut(pair, shape, random.Random(0), Trouble(drop=1.0)).present
    clean = cut(pair, shape, random.Random(1), Trouble())
    lossy = cut(pair, shape, random.Random(1), Trouble(lossy=1.0))
    assert (clean.side != lossy.side).any() and (clean.main == lossy.main).all()
    for seed in range(4):
        stale = cut(pair, shape, random.Random(seed), Trouble(stale=1.0))
        assert (stale.disparity < 0).all(), "a stale view has no rectified geometry"
        stranger = make_pair(old, old)
        wrong = cut(pair, shape, random.Random(seed), Trouble(wrong=1.0), stranger)
        right = cut(pair, shape, random.Random(seed), Trouble(), stranger)
        assert (wrong.disparity < 0).all() and (wrong.main == right.main).all()
        assert (wrong.side != right.side).any()


def test_tint_moves_both_views_and_little_between_them():
    main = np.full((128, 320, 3), 100, np.uint8)
    pair = make_pair(main, main)
    shape = CropShape(64, 128, 1, (1.0, 1.0))
    levels = [cut(pair, shape, random.Random(seed), Trouble(tint=0.2)) for seed in range(40)]
    between = [abs(float(s.main.mean()) - float(s.side.mean())) for s in levels]
    assert np.std([s.main.mean() for s in levels]) > 5
    assert 0 < max(between) < 15


def test_labels_follow_the_side_view_through_crop_and_mirror():
    # Smooth: label maps at half resolution fall between the picture's pixels.
    main = cv2.normalize(cv2.GaussianBlur(textured(), (0, 0), 8), None, 0, 255, cv2.NORM_MINMAX)
    side = shifted(main, 12)
    pair = make_pair(main, side)
    # Label maps at half resolution that repeat the red channel: where the crop goes, they must go.
    pair.main_labels, pair.side_labels = main[::2, ::2, 0].copy(), side[::2, ::2, 0].copy()
    for seed in range(6):
        sample = cut(pair, CropShape(64, 128, 1, (1.0, 1.0)), random.Random(seed), Trouble())
        assert sample.labels is not None
        small = cv2.resize(sample.labels, (128, 64), interpolation=cv2.INTER_LINEAR).astype(int)
        assert np.abs(small - sample.side[..., 0]).mean() < 8
        assert np.abs(small[:, ::-1] - sample.side[..., 0]).mean() > 20


def test_near_crops_are_where_the_largest_disparities_are():
    main = textured()
    pair = make_pair(main, shifted(main, 12))
    height, width = pair.main_disparity.shape
    # As far as the disparities tell, something near stands at the left end of both views.
    for disparity in (pair.main_disparity, pair.side_disparity):
        disparity[:] = 2
    pair.main_disparity[:, : width // 8] = 40
    pair.side_disparity[:, -(width // 8) :] = 40
    shape = CropShape(height // 2, width // 4, 1, (1.0, 1.0))

    def seen(near: float) -> int:
        crops = [cut(pair, shape, random.Random(seed), Trouble(near=near)) for seed in range(60)]
        return sum(float(crop.disparity.max()) > 20 for crop in crops)

    assert seen(0.0) < 40 and seen(1.0) > seen(0.0) + 10
