"""cloud.training.data: teacher disparities are right, folders are read once and whole."""

import cv2
import numpy as np
import pytest
from flat_wall import shifted, textured

from cloud.training.data import Pair, load_folder, make_pair, teacher_disparity
from common.errors import DatasetError


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
