"""cloud.training.data: teacher disparities are right, crops keep views and disparity together."""

import random

import cv2
import numpy as np
import pytest

from cloud.training.data import CropShape, Pair, cut, load_folder, make_pair, teacher_disparity
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
        sample = cut(pair, shape, random.Random(seed), 0, 0, 0)
        assert sample.main.shape == (64, 128, 3) and sample.present
        valid = sample.disparity >= 0
        assert abs(np.median(sample.disparity[valid]) - 12 * scale[0]) < 0.6
        d = round(12 * scale[0])
        error = np.abs(sample.main[:, d:].astype(int) - sample.side[:, :-d].astype(int)).mean()
        assert error < 3, "main column x is side column x - d, mirrored or not"


def test_dropped_lossy_and_stale_side_views():
    main = textured()
    pair = make_pair(main, shifted(main, 12), previous=textured(seed=5))
    shape = CropShape(64, 128, 1, (1.0, 1.0))
    assert not cut(pair, shape, random.Random(0), 1.0, 0, 0).present
    clean = cut(pair, shape, random.Random(1), 0, 0, 0)
    lossy = cut(pair, shape, random.Random(1), 0, 1.0, 0)
    assert (clean.side != lossy.side).any() and (clean.main == lossy.main).all()
    stale = [cut(pair, shape, random.Random(seed), 0, 0, 1.0) for seed in range(8)]
    assert any((s.disparity < 0).all() for s in stale), "a stale view has no rectified geometry"


def test_a_folder_is_read_once_and_its_disparities_kept(tmp_path):
    for side in ("left", "right"):
        (tmp_path / "data" / "seq_a" / side).mkdir(parents=True)
    main = textured()
    for index in range(2):
        cv2.imwrite(str(tmp_path / "data/seq_a/left" / f"{index:06d}.png"), main)
        cv2.imwrite(str(tmp_path / "data/seq_a/right" / f"{index:06d}.png"), shifted(main, 8))
    first = load_folder(tmp_path / "data", tmp_path / "kept", progress=False)
    again = load_folder(tmp_path / "data", tmp_path / "kept", progress=False)
    assert len(first) == 2 and first[0].previous is None and first[1].previous is not None
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


def test_pair_is_plain_data():
    assert Pair.__dataclass_fields__["previous"].default is None
