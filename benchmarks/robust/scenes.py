"""The pictures: folders of stereo pairs or synthetic streets, cut to 128x256, with their neighbours in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from benchmarks.rd.protocol import SMALL_HEIGHT, SMALL_WIDTH, paper_view
from common.datasets import StereoDataset, open_datasets
from common.errors import DatasetError, FrameSizeError, UsageError
from common.synthetic import StereoStreet
from common.types import RgbImage

STALE = (1, 2, 5)
"""How many frames old a stale side view is."""
FIRST_STREET_SEED = 9001
"""Far from the seeds that training renders."""
_SEQUENCE_NAME = re.compile(r"seq|drive|sync", re.IGNORECASE)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Scene(Protocol):
    """Frames of one rig; consecutive ones where it is a sequence.

    Attributes:
        name: for reports.
        sequence: whether frame i - 1 was captured just before frame i.
    """

    name: str
    sequence: bool

    def __len__(self) -> int:
        """Return the number of frames."""

    def label(self, index: int) -> str:
        """Return the name of a frame."""

    def pair(self, index: int) -> tuple[RgbImage, RgbImage]:
        """Return main and side view, (128, 256, 3) uint8 RGB each."""

    def caption(self, index: int) -> str | None:
        """Return a sentence that is true of the frame, None where nobody wrote one."""

    def earlier(self, index: int, frames: int) -> int | None:
        """Return which frame was captured so many frames before, None where it is not there."""


class FolderScene:
    """The pairs of one folder, cut by the paper's protocol; views once cut are kept (200 kB a pair)."""

    def __init__(self, frames: StereoDataset, sequence: bool) -> None:
        self.name, self.sequence, self._frames = frames.name, sequence, frames
        self._kept: dict[int, tuple[RgbImage, RgbImage]] = {}
        numbers = [_number(frames.files(i)[0].stem) for i in range(len(frames))]
        self._place = {number: i for i, number in enumerate(numbers) if number is not None}
        self._numbers = numbers

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def label(self, index: int) -> str:
        """Return `folder/file`."""
        return f"{self.name}/{self._frames.files(index)[0].stem}"

    def pair(self, index: int) -> tuple[RgbImage, RgbImage]:
        """Return main and side view.

        Raises:
            DatasetError: a view is missing.
            FrameSizeError: the pictures are smaller than the protocol's crop.
        """
        if index not in self._kept:
            frame = self._frames[index]
            if frame.main is None or frame.side is None:
                raise DatasetError(self.label(index), "a view of the pair is missing")
            self._kept[index] = paper_view(frame.main), paper_view(frame.side)
        return self._kept[index]

    def caption(self, index: int) -> str | None:
        """Return None: files come without captions."""
        return None

    def earlier(self, index: int, frames: int) -> int | None:
        """Return the frame whose file number is smaller by `frames`."""
        number = self._numbers[index]
        return None if number is None or not self.sequence else self._place.get(number - frames)


class StreetScene:
    """A synthetic street, drawn when asked for.

    `wide` is another camera: the whole view in place of the centre, so everything is 1.7 times smaller and nearer to
    the vanishing point, with disparities to match.
    """

    sequence = True

    def __init__(self, seed: int, wide: bool = False, length: int = 20) -> None:
        self.name = f"street-{seed}" + ("-wide" if wide else "")
        self.wide, self._length = wide, length
        self._seed = seed
        self._street: StereoStreet | None = None
        self._kept: dict[int, tuple[RgbImage, RgbImage, str]] = {}

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._length

    def label(self, index: int) -> str:
        """Return `street/frame`."""
        return f"{self.name}/{index:03d}"

    def pair(self, index: int) -> tuple[RgbImage, RgbImage]:
        """Return main and side view."""
        return self._drawn(index)[:2]

    def caption(self, index: int) -> str | None:
        """Return what the renderer knows to be in the main view."""
        return self._drawn(index)[2]

    def earlier(self, index: int, frames: int) -> int | None:
        """Return the frame drawn for that instant."""
        return index - frames if index >= frames else None

    def _drawn(self, index: int) -> tuple[RgbImage, RgbImage, str]:
        if index not in self._kept:
            if self._street is None:  # building a street takes seconds, a resumed run may not need it
                size = (2 * SMALL_HEIGHT, 2 * SMALL_WIDTH) if self.wide else (375, 1242)
                self._street = StereoStreet(self._seed, *size)
            frame = self._street.frame(index)
            cut = _whole if self.wide else paper_view
            self._kept[index] = cut(frame.main), cut(frame.side), frame.caption
        return self._kept[index]


@dataclass(frozen=True, eq=False)
class Place:
    """Name one main view to be judged."""

    scene: Scene
    index: int

    @property
    def name(self) -> str:
        """Return the frame's name."""
        return self.scene.label(self.index)

    @property
    def main(self) -> RgbImage:
        """Return the main view."""
        return self.scene.pair(self.index)[0]

    @property
    def side(self) -> RgbImage:
        """Return the side view, uncompressed."""
        return self.scene.pair(self.index)[1]

    def stale(self, frames: int) -> RgbImage | None:
        """Return the side view captured so many frames before, None where there is none."""
        before = self.scene.earlier(self.index, frames) if self.scene.sequence else None
        return None if before is None else self.scene.pair(before)[1]


def open_folder(data: Path, sequences: str | None) -> list[Scene]:
    """Open every dataset under a folder.

    Args:
        data: one dataset, or a folder of them.
        sequences: which of them are sequences: names, comma-separated, `all` or `none`; None goes by name (`seq`,
            `drive`, `sync`), since single pairs are often numbered without gaps as well.

    Raises:
        DatasetError: nothing that we know is there.
        UsageError: a name that is not there.
    """
    sets = open_datasets(data)
    named = None if sequences in (None, "all", "none") else [s.strip() for s in str(sequences).split(",")]
    if named is not None and (unknown := set(named) - {frames.name for frames in sets}):
        raise UsageError(f"--sequences {sequences!r}: no {', '.join(sorted(unknown))} in {data}")

    def is_sequence(frames: StereoDataset) -> bool:
        if named is not None:
            return frames.name in named
        if sequences is not None:
            return sequences == "all"
        return _SEQUENCE_NAME.search(frames.name) is not None

    return [FolderScene(frames, is_sequence(frames)) for frames in sets]


def open_streets(count: int, wide: bool = False) -> list[Scene]:
    """Return synthetic streets that training never draws."""
    return [StreetScene(FIRST_STREET_SEED + i, wide) for i in range(count)]


def choose(scenes: Sequence[Scene], every: int, limit: int | None) -> list[Place]:
    """Return every n-th frame over all scenes, at most `limit`; of a street only the first that has a past.

    Raises:
        UsageError: a number below 1.
        DatasetError: nothing is left.
    """
    if every < 1 or (limit is not None and limit < 1):
        raise UsageError(f"--every and --limit must be at least 1 (got {every} and {limit})")
    places = []
    for scene in scenes:
        indices = [max(STALE)] if isinstance(scene, StreetScene) else range(len(scene))
        places += [Place(scene, i) for i in indices]
    chosen = places[::every][:limit]
    if not chosen:
        raise DatasetError("--data", "no stereo pair in it")
    return chosen


def ssim(a: RgbImage, b: RgbImage) -> float:
    """Return the structural similarity of two pictures' luma, Gaussian window 7, sigma 1.5, in [-1, 1]."""
    x, y = (cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float64) for view in (a, b))

    def blur(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (7, 7), 1.5)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    value = (2 * mx * my + _C1) * (2 * cov + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float(value.mean())


def _whole(image: RgbImage) -> RgbImage:
    height, width = image.shape[:2]
    if height * SMALL_WIDTH != width * SMALL_HEIGHT:
        raise FrameSizeError(height, width, "a wide view must be twice as wide as high")
    small = cv2.resize(image, (SMALL_WIDTH, SMALL_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, dtype=np.uint8)


def _number(stem: str) -> int | None:
    """Return the frame number of a plain number's file name; anything else has no neighbours."""
    return int(stem) if stem.isascii() and stem.isdecimal() and len(stem) < 16 else None
