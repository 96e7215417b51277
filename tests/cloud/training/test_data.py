"""cloud.training.data: teacher disparities are right, crops keep views and disparity together."""

import random

import cv2
import numpy as np
import pytest

from cloud.training.data import CropShape, Pair, Trouble, cut, load_folder, make_pair, teacher_disparity
from common.errors import DatasetError


def textured(height=128, width=320, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def shifted(image, pixels):
    """The right camera's view of a flat wall `pixels` of disparity away."""
    return np.ascontiguousarray(np.roll(image, -pixels, axis=1))


def test_the_teacher_finds_a_flat_wall():
    main = textured()
    found = teacher_disparity(main, shifted(main, 12)).astype(np.float32)
    inner = found[8:-8, 40:-40]
    assert (inner >= 0).mean() > 0.8
    assert np.abs(inner[inner >= 0] - 12).mean() < 0.5
    assert (found[:, :11] < 0).mean() > 0.9, "left of the first match there is nothing to see"


def test_both_views_disparities_keep_their_sign_when_mirrored():
    main = textured()
    pair = make_pair(main, shifted(main, 12))
    known = pair.side_disparity[8:-8, 40:-40]
    assert abs(float(known[known >= 0].mean()) - 12) < 0.5


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


def test_a_folder_is_read_once_and_its_disparities_kept(tmp_path):
    for side in ("left", "right"):
        (tmp_path / "data" / "seq_a" / side).mkdir(parents=True)
    main = textured()
    for index in range(2):
        cv2.imwrite(str(tmp_path / "data/seq_a/left" / f"{index:06d}.png"), main)
        cv2.imwrite(str(tmp_path / "data/seq_a/right" / f"{index:06d}.png"), shifted(main, 8))
    first = load_folder(tmp_path / "data", tmp_path / "kept", progress=False)
    again = load_folder(tmp_path / "data", tmp_path / "kept", progress=False)
    assert len(first) == 2 and not first[0].past and first[1].past == (first[0],)
    np.testing.assert_array_equal(first[1].main_disparity, again[1].main_disparity)
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_missing_partner_and_empty_folder_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="left and"):
        load_folder(tmp_path, progress=False)
    for side in ("left", "right"):
        (tmp_path / "a" / side).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "a/left/000000.png"), textured())
    with pytest.raises(DatasetError, match=r"000000\.png"):
        load_folder(tmp_path, progress=False)


def test_left_out_drives_are_not_read(tmp_path):
    for name in ("a", "b"):
        for side in ("left", "right"):
            (tmp_path / name / side).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / name / side / "000000.png"), textured())
    assert len(load_folder(tmp_path, progress=False)) == 2
    assert len(load_folder(tmp_path, progress=False, leave_out=("b",))) == 1
    with pytest.raises(DatasetError):
        load_folder(tmp_path, progress=False, leave_out=("a", "b"))


def test_pair_is_plain_data():
    assert Pair.__dataclass_fields__["past"].default == ()
