"""Pictures with semantic label maps, split by drive, and how they are varied for training the tagger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from common.datasets.images import list_images, read_image
from common.errors import DatasetError, ImageUnreadable
from common.synthetic.street import StereoStreet
from common.types import RgbImage

from .tagger import OTHER, ROWS, STRIDE
from .vocabulary import CLASSES, TRAIN_IDS, tags_of_labels

VIEWS = ("left", "right")
LEAST = 0.55
"""The lowest crop, as a share of the picture's height."""
_JITTER = 0.25
_UNKNOWN = 255

_TO_CLASS = np.full(256, OTHER, np.uint8)
_TO_CLASS[list(TRAIN_IDS)] = np.arange(len(TRAIN_IDS))


@dataclass(eq=False)
class LabelledPicture:
    """Hold one view and its label map; files are read when first needed and then kept, at the labels' size.

    Attributes:
        drive: the folder it comes from: what a split must not cut.
        view: "left" or "right".
        image_file: the picture; None when `picture` is given.
        label_file: its label map of Cityscapes train ids, of any size.
    """

    drive: str
    view: str
    image_file: Path | None = None
    label_file: Path | None = None
    picture: tuple[RgbImage, NDArray[np.uint8]] | None = None

    def read(self) -> tuple[RgbImage, NDArray[np.uint8]]:
        """Return (H, W, 3) uint8 RGB and (H, W) uint8 train ids, both of the label map's size.

        Raises:
            ImageUnreadable: a file is missing or damaged.
        """
        if self.picture is None:
            assert self.image_file is not None and self.label_file is not None
            labels = read_labels(self.label_file)
            image = cv2.resize(read_image(self.image_file), labels.shape[::-1], interpolation=cv2.INTER_AREA)
            self.picture = (image.astype(np.uint8), labels)
        return self.picture


class Examples(NamedTuple):
    """A training batch: image (B, 3, 128, W), share of each class a cell (B, 15, 16, W/8), presence (B, 14, 3)."""

    image: Tensor
    cells: Tensor
    presence: Tensor


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Read a label map (H, W) uint8; ids above 18 become 255.

    Raises:
        ImageUnreadable: not a one-channel picture of 8 bits.
    """
    try:
        labels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise ImageUnreadable(path, str(error)) from error
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
        raise ImageUnreadable(path, "a label map must be a one-channel picture of 8 bits")
    return np.where(labels < CLASSES, labels, _UNKNOWN).astype(np.uint8)


def find_pictures(
    data: Path, labels: Path, holdout: Iterable[str]
) -> tuple[list[LabelledPicture], list[LabelledPicture]]:
    """Return (training, held out) pictures of NAME/{left,right} that have a label map; a drive is in one of them.

    Args:
        data: folder of NAME/{left,right}/STEM.*.
        labels: folder of NAME/{left,right}/STEM.png.
        holdout: drives that are not trained on.

    Raises:
        DatasetError: nothing to train on, an unknown drive is held out, or a label map has no picture.
    """
    held = set(holdout)
    drives = sorted(d.name for d in labels.iterdir() if d.is_dir()) if labels.is_dir() else []
    if missing := held - set(drives):
        raise DatasetError(labels, f"no drive {', '.join(sorted(missing))} to hold out")
    train: list[LabelledPicture] = []
    out: list[LabelledPicture] = []
    for drive in drives:
        for view in VIEWS:
            folder, pictures = labels / drive / view, data / drive / view
            if not folder.is_dir():
                continue
            images = list_images(pictures) if pictures.is_dir() else {}
            for stem, file in list_images(folder).items():
                if stem not in images:
                    raise DatasetError(data, f"label map {drive}/{view}/{file.name} has no picture")
                (out if drive in held else train).append(LabelledPicture(drive, view, images[stem], file))
    if not train:
        raise DatasetError(labels, "no label maps of NAME/{left,right}/*.png to train on")
    return train, out


def synthetic_pictures(seeds: Iterable[int], height: int = 192, width: int = 624) -> list[LabelledPicture]:
    """Return one frame of the synthetic street of each seed, with its exact labels (of the left view)."""
    found = []
    for seed in seeds:
        frame = StereoStreet(seed, height, width).frame(seed % 7)
        found.append(LabelledPicture(f"synthetic-{seed}", "left", picture=(frame.main, frame.labels)))
    return found


def centre_crop(image: RgbImage, labels: NDArray[np.uint8]) -> tuple[RgbImage, NDArray[np.uint8]]:
    """Return the paper's protocol of a pair of equal size: the middle 2:1 of a frame, the picture at 128x256."""
    height, width = labels.shape
    columns = min(width, 2 * height)
    x = (width - columns) // 2
    cut = cv2.resize(image[:, x : x + columns], (2 * ROWS, ROWS), interpolation=cv2.INTER_AREA)
    return cut.astype(np.uint8), labels[:, x : x + columns]


def draw_batch(
    pictures: Sequence[LabelledPicture], size: int, rng: np.random.Generator, least: float = LEAST
) -> Examples:
    """Draw a batch of varied crops, all of one width: 2:1 as in the paper's protocol, or KITTI's whole 3.25:1."""
    columns = int(rng.choice([256, 256, 416]))
    drawn = [
        vary(*pictures[int(rng.integers(len(pictures)))].read(), columns, rng, least) for _ in range(size)
    ]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2)
    ids = torch.from_numpy(np.stack([_TO_CLASS[labels] for _, labels in drawn])).long()
    one_hot = F.one_hot(ids, OTHER + 1).permute(0, 3, 1, 2).float()
    presence = torch.from_numpy(np.stack([tags_of_labels(labels).presence for _, labels in drawn]))
    return Examples(images.float() / 255, F.avg_pool2d(one_hot, STRIDE), presence)


def vary(
    image: RgbImage, labels: NDArray[np.uint8], columns: int, rng: np.random.Generator, least: float = LEAST
) -> tuple[RgbImage, NDArray[np.uint8]]:
    """Return a random crop as (128, columns, 3) uint8 and its labels (128, columns).

    Crops change place and scale (`least` to 1 of the height); half are mirrored, so that left and right swap in
    picture and labels alike. Exposure and colour vary, some become grey, and some are compressed hard, since side views
    arrive as JPEG too.
    """
    height, width = labels.shape
    rows = min(height * rng.uniform(least, 1.0), width * ROWS / columns)
    span = rows * columns / ROWS
    h, w = max(1, int(rows)), max(1, int(span))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    size = (columns, ROWS)
    crop = cv2.resize(
        image[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA if h > ROWS else cv2.INTER_LINEAR
    )
    ids = cv2.resize(labels[y : y + h, x : x + w], size, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        crop, ids = crop[:, ::-1], ids[:, ::-1]
    return np.ascontiguousarray(_expose(crop, rng)), np.ascontiguousarray(ids, dtype=np.uint8)


def _expose(crop: NDArray[Any], rng: np.random.Generator) -> RgbImage:
    """Vary exposure, colour, sharpness and compression of an image (H, W, 3) uint8."""
    gain = np.exp(rng.uniform(-_JITTER, _JITTER) + rng.uniform(-0.1, 0.1, 3))
    x = (crop / np.float32(255)) ** np.float32(np.exp(rng.uniform(-_JITTER, _JITTER))) * gain.astype(
        np.float32
    )
    grey = x.mean(2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.1 else rng.uniform(0.6, 1.4)
    x = grey + np.float32(saturation) * (x - grey)
    if rng.random() < 0.15:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.2))
    varied: RgbImage = (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", varied, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(8, 60))])
        varied = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)
    return varied
