"""The drive that is coded: consecutive stereo frames of one size, from files or drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from common.datasets import open_datasets
from common.errors import DatasetError, UsageError
from common.types import RgbImage

RATE_HZ = 10.0
"""Rates are given for this many frames a second, whatever a drive's own clock says."""
SYNTHETIC_SEED = 7


@dataclass(frozen=True, eq=False)
class Clip:
    """Hold a drive in memory (a KITTI frame pair takes 2.8 MB).

    Attributes:
        name: for reports; never a path.
        main: (H, W, 3) uint8 RGB frames of the camera that our codec sends.
        side: the other camera's, same count and size.
        digest: hash of every pixel, so that cached results belong to these frames only.
    """

    name: str
    main: Sequence[RgbImage]
    side: Sequence[RgbImage]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha256()
        for view in (self.main, self.side):
            for image in view:
                sha.update(f"{image.shape}".encode())
                sha.update(image.tobytes())
        object.__setattr__(self, "digest", sha.hexdigest()[:16])

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.main)

    @property
    def height(self) -> int:
        """Return the rows of every frame."""
        return int(self.main[0].shape[0])

    @property
    def width(self) -> int:
        """Return the columns of every frame."""
        return int(self.main[0].shape[1])

    def view(self, name: str) -> Sequence[RgbImage]:
        """Return the frames of `main` or `side`."""
        return {"main": self.main, "side": self.side}[name]


def read_clip(data: Path, frames: int | None) -> Clip:
    """Read the first frames of one drive, all of them when `frames` is None.

    Raises:
        DatasetError: no drive there, views missing, or frames of different sizes.
        UsageError: several drives below the folder: a cut in the middle is no sequence.
    """
    drives = open_datasets(data)
    if len(drives) != 1:
        names = ", ".join(drive.name for drive in drives[:4])
        raise UsageError(f"--data {data} holds {len(drives)} drives ({names}, ...): name one of them")
    drive = drives[0]
    count = len(drive) if frames is None else min(frames, len(drive))
    main: list[RgbImage] = []
    side: list[RgbImage] = []
    for index in tqdm(range(count), desc="read", unit="frame", disable=None, leave=False):
        frame = drive[index]
        if frame.main is None or frame.side is None:
            raise DatasetError(data, f"frame {index} lacks a view")
        if frame.main.shape != frame.side.shape or (main and frame.main.shape != main[0].shape):
            raise DatasetError(data, f"frame {index} is of another size: {frame.main.shape}")
        main.append(frame.main)
        side.append(frame.side)
    return _checked(Clip(data.name or drive.name, main, side) if main else None, data)


def draw_clip(height: int, width: int, frames: int) -> Clip:
    """Return the first frames of the synthetic street."""
    from common.synthetic import StereoStreet

    street = StereoStreet(SYNTHETIC_SEED, height, width, RATE_HZ)
    bar = tqdm(range(frames), desc="draw", unit="frame", disable=None, leave=False)
    drawn = [street.frame(index) for index in bar]
    name = f"synthetic:{SYNTHETIC_SEED}:{height}x{width}"
    return _checked(Clip(name, [f.main for f in drawn], [f.side for f in drawn]) if drawn else None, name)


def _checked(clip: Clip | None, source: str | Path) -> Clip:
    if clip is None or len(clip) < 2:
        raise DatasetError(source, "a sequence needs two frames at least")
    return clip
