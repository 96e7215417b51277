"""Which pairs are judged and how they are cut, on small folders written here."""

import cv2
import numpy as np
import pytest

from benchmarks.rd.protocol import Samples, SideView, paper_view, whole_view
from common.errors import DatasetError, FrameSizeError, UsageError


def _write(folder, count, height=80, width=100, seed=0):
    rng = np.random.default_rng(seed)
    for view in ("left", "right"):
        (folder / view).mkdir(parents=True)
        for i in range(count):
            picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / view / f"{i:06d}.png"), picture)


def test_paper_view_is_the_centre_crop_resized_by_area():
    picture = np.zeros((375, 1242, 3), np.uint8)
    picture[2:372, 251:991] = 200
    cut = paper_view(picture)
    assert cut.shape == (128, 256, 3)
    assert (cut == 200).all()
    assert (paper_view(np.roll(picture, 6, axis=1)) != 200).any()


def test_a_picture_below_the_crop_is_refused():
    with pytest.raises(FrameSizeError, match="300x1242"):
        paper_view(np.zeros((300, 1242, 3), np.uint8))


def test_whole_view_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 255, (31, 47, 3), dtype=np.uint8)
    assert np.array_equal(whole_view(picture), picture)


@pytest.mark.parametrize("text", ["webp", "none", "jpeg:1", "jpeg:90"])
def test_side_view_reads_what_it_prints(text):
    assert str(SideView.parse(text)) == text


@pytest.mark.parametrize("text", ["png", "jpeg", "jpeg:0", "jpeg:101", "webp:3", "jpeg:x", ""])
def test_bad_side_views_are_named(text):
    with pytest.raises(UsageError, match=f"'{text}'"):
        SideView.parse(text)


def test_side_view_codecs():
    picture = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8), (0, 0), 3
    )
    same, exact = SideView("webp").code(picture)
    assert np.array_equal(same, picture) and 0 < exact < picture.size
    lossy, small = SideView("jpeg", 50).code(picture)
    assert lossy.shape == picture.shape and not np.array_equal(lossy, picture)
    assert 0 < small < exact
    assert SideView("none").code(picture) == (None, 0)


def test_folders_are_counted_through_in_order(tmp_path):
    _write(tmp_path / "b_second", 3, seed=1)
    _write(tmp_path / "a_first", 2, seed=2)
    (tmp_path / "notes").mkdir()
    every = Samples(tmp_path, "full", SideView("webp"))
    assert [s.name for s in every] == [
        "a_first/000000", "a_first/000001", "b_second/000000", "b_second/000001", "b_second/000002",
    ]  # fmt: skip
    thinned = Samples(tmp_path, "full", SideView("none"), limit=2, every=2)
    assert [s.name for s in thinned] == ["a_first/000000", "b_second/000000"]
    assert (len(thinned), thinned.available) == (2, 5)
    sample = next(iter(every))
    written = cv2.imread(str(tmp_path / "a_first" / "left" / "000000.png"))[:, :, ::-1]
    assert np.array_equal(sample.main, written)
    assert sample.side is not None and sample.side_bytes > 0


def test_one_dataset_alone(tmp_path):
    _write(tmp_path / "drive", 2)
    assert [s.name for s in Samples(tmp_path / "drive", "full", SideView("none"))] == [
        "drive/000000",
        "drive/000001",
    ]


def test_bad_folders_and_numbers(tmp_path):
    with pytest.raises(DatasetError, match="nothing_here"):
        Samples(tmp_path / "nothing_here", "full", SideView("none"))
    with pytest.raises(DatasetError):
        Samples(tmp_path, "full", SideView("none"))
    with pytest.raises(UsageError, match="0"):
        Samples(tmp_path, "full", SideView("none"), every=0)
