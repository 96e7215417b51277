"""Labelled pictures: found, split by drive, varied with their labels, cropped as the paper does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cloud.text.labelled import (
    LabelledPicture,
    centre_crop,
    draw_batch,
    find_pictures,
    read_labels,
    synthetic_pictures,
    vary,
)
from cloud.text.vocabulary import OBJECTS
from common.errors import DatasetError, ImageUnreadable

CAR, ROAD, SKY = 13, 0, 10


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Write two drives of two views; labels at half resolution."""
    rng = np.random.default_rng(0)
    for drive in ("one", "two"):
        for view in ("left", "right"):
            for root, suffix in (("data", "webp"), ("labels", "png")):
                (tmp_path / root / drive / view).mkdir(parents=True)
                shape = (128, 400, 3) if root == "data" else (64, 200)
                image = rng.integers(0, 19, shape, dtype=np.uint8)
                cv2.imwrite(str(tmp_path / root / drive / view / f"000003.{suffix}"), image)
    return tmp_path / "data", tmp_path / "labels"


def test_drives_are_split_whole(folders: tuple[Path, Path]) -> None:
    train, held = find_pictures(*folders, ["two"])
    assert [(p.drive, p.view) for p in train] == [("one", "left"), ("one", "right")]
    assert [(p.drive, p.view) for p in held] == [("two", "left"), ("two", "right")]
    image, labels = train[0].read()
    assert image.shape == (64, 200, 3) and labels.shape == (64, 200)


def test_mistakes_in_the_folders_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    data, labels = folders
    with pytest.raises(DatasetError, match="no drive three"):
        find_pictures(data, labels, ["three"])
    with pytest.raises(DatasetError, match="to train on"):
        find_pictures(data, labels, ["one", "two"])
    with pytest.raises(DatasetError, match="to train on"):
        find_pictures(data, tmp_path / "nowhere", [])
    (data / "one" / "left" / "000003.webp").unlink()
    with pytest.raises(DatasetError, match="has no picture"):
        find_pictures(data, labels, [])


def test_labels_must_be_one_channel(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "colour.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    for name in ("colour.png", "torn.png", "missing.png"):
        with pytest.raises(ImageUnreadable):
            read_labels(tmp_path / name)
    cv2.imwrite(str(tmp_path / "ids.png"), np.array([[0, 18, 19, 255]], np.uint8))
    assert read_labels(tmp_path / "ids.png").tolist() == [[0, 18, 255, 255]]


def half_and_half() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture whose left half is a white car and whose right half is a black road."""
    labels = np.full((192, 624), ROAD, np.uint8)
    labels[:, :312] = CAR
    image = np.where(labels[..., None] == CAR, 255, 0).repeat(3, 2).astype(np.uint8)
    return image, labels


@pytest.mark.parametrize("columns", [256, 416])
def test_labels_follow_their_picture(columns: int) -> None:
    rng = np.random.default_rng(3)
    mirrored = set()
    for _ in range(30):
        image, labels = vary(*half_and_half(), columns, rng)
        assert image.shape == (128, columns, 3) and image.dtype == np.uint8 and labels.shape == (128, columns)
        bright = image.mean(2) > 127
        assert (bright == (labels == CAR)).mean() > 0.98
        mirrored.add(bool(labels[0, 0] == CAR))
    assert mirrored == {True, False}


def test_least_bounds_the_enlargement() -> None:
    rng = np.random.default_rng(0)
    shares = [(vary(*half_and_half(), 416, rng, least)[1] == CAR).mean() for least in [1.0] * 5 + [0.3] * 20]
    assert shares[:5] == pytest.approx([0.5] * 5, abs=0.01)
    assert max(shares[5:]) > 0.6 and min(shares[5:]) < 0.4


def test_pictures_smaller_than_a_crop_are_enlarged() -> None:
    image, labels = vary(
        np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8), 416, np.random.default_rng(0)
    )
    assert image.shape == (128, 416, 3) and labels.shape == (128, 416)


def test_a_batch_counts_cells_and_tags_crops() -> None:
    picture = LabelledPicture("d", "left", picture=half_and_half())
    batch = draw_batch([picture], 5, np.random.default_rng(0))
    width = batch.image.shape[3]
    assert batch.image.shape == (5, 3, 128, width) and width in (256, 416)
    assert batch.cells.shape == (5, 15, 16, width // 8)
    assert torch.allclose(batch.cells.sum(1), torch.ones(()))
    car, road, tree = (OBJECTS.index(w) for w in ("car", "road", "tree"))
    assert (batch.cells[:, car] + batch.cells[:, road]).min() > 0.999
    assert batch.presence[:, tree].sum() == 0 and batch.presence[:, [car, road]].sum() >= 15
    again = draw_batch([picture], 5, np.random.default_rng(0))
    assert torch.equal(again.image, batch.image) and torch.equal(again.presence, batch.presence)


def test_the_papers_crop_is_the_middle() -> None:
    image, labels = half_and_half()
    cut, ids = centre_crop(image, labels)
    assert cut.shape == (128, 256, 3) and ids.shape == (192, 384)
    assert (ids[:, :192] == CAR).all() and (ids[:, 192:] == ROAD).all()
    assert cut[:, :127].min() == 255 and cut[:, 129:].max() == 0


def test_synthetic_streets_bring_their_labels() -> None:
    (picture,) = synthetic_pictures([4], 128, 256)
    image, labels = picture.read()
    assert image.shape == (128, 256, 3) and {ROAD, SKY} <= set(np.unique(labels).tolist())
