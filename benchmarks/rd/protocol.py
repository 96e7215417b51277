"""Which pictures are judged, and how they are cut: the paper's 128x256, or the images as they are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.datasets import open_datasets
from common.errors import DatasetError, FrameSizeError, UsageError
from common.types import RgbImage, StereoFrame

CROP_HEIGHT, CROP_WIDTH = 370, 740
SMALL_HEIGHT, SMALL_WIDTH = 128, 256


def paper_view(image: RgbImage) -> RgbImage:
    """Cut the centre 370x740 out of an (H, W, 3) uint8 picture and resize it to 128x256 by area.

    Source: the paper's KITTI protocol.

    Raises:
        FrameSizeError: the picture is smaller than the crop.
    """
    height, width = image.shape[:2]
    if height < CROP_HEIGHT or width < CROP_WIDTH:
        raise FrameSizeError(
            height, width, f"protocol 128x256 cuts {CROP_HEIGHT}x{CROP_WIDTH} out of the centre"
        )
    top, left = (height - CROP_HEIGHT) // 2, (width - CROP_WIDTH) // 2
    crop = image[top : top + CROP_HEIGHT, left : left + CROP_WIDTH]
    small = cv2.resize(crop, (SMALL_WIDTH, SMALL_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small, dtype=np.uint8)


def whole_view(image: RgbImage) -> RgbImage:
    """Return the picture as it is."""
    return np.ascontiguousarray(image)


PROTOCOLS: dict[str, Callable[[RgbImage], RgbImage]] = {"128x256": paper_view, "full": whole_view}


@dataclass(frozen=True, eq=False)
class Sample:
    """Hold one stereo pair, cut by the protocol and uncut.

    Attributes:
        name: `dataset/file`, without the file's suffix.
        main: (h, w, 3) uint8 RGB, what is coded.
        side: (h, w, 3) uint8 RGB as the decoder has it (after its own codec); None when it has none.
        side_bytes: what the side view cost, 0 when there is none.
        whole_main: (H, W, 3) uint8 RGB before the cut.
        whole_side: (H, W, 3) uint8 RGB before the cut, untouched by any codec: for the oracle control.
        side_lossy: the side view went through a lossy codec, and the decoder knows.
    """

    name: str
    main: RgbImage
    side: RgbImage | None
    side_bytes: int
    whole_main: RgbImage
    whole_side: RgbImage
    side_lossy: bool = False


@dataclass(frozen=True)
class SideView:
    """Say how the side view reaches the decoder: `webp` (lossless), `jpeg:QUALITY` or `none`."""

    kind: str
    quality: int = 0

    @classmethod
    def parse(cls, text: str) -> SideView:
        """Read `webp`, `jpeg:1` to `jpeg:100`, or `none`.

        Raises:
            UsageError: anything else.
        """
        kind, _, number = text.partition(":")
        if kind in ("webp", "none") and not number:
            return cls(kind)
        if kind == "jpeg" and number.isdecimal() and 1 <= int(number) <= 100:
            return cls(kind, int(number))
        raise UsageError(f"--side {text!r}: expected webp, jpeg:1..100 or none")

    def __str__(self) -> str:
        return f"jpeg:{self.quality}" if self.kind == "jpeg" else self.kind

    @property
    def lossy(self) -> bool:
        """Tell whether the codec loses anything."""
        return self.kind == "jpeg"

    def code(self, side: RgbImage) -> tuple[RgbImage | None, int]:
        """Return the side view after its codec and the bytes it took (whole file)."""
        from PIL import Image

        if self.kind == "none":
            return None, 0
        buffer = io.BytesIO()
        if self.kind == "webp":
            Image.fromarray(side).save(buffer, "WEBP", lossless=True, method=3)
            return side, buffer.tell()
        Image.fromarray(side).save(buffer, "JPEG", quality=self.quality)
        return np.array(Image.open(buffer).convert("RGB")), buffer.tell()


class Samples:
    """Iterate over the pairs under a folder, cut by a protocol; nothing but one pair is held in memory."""

    def __init__(
        self, data: Path, protocol: str, side: SideView, limit: int | None = None, every: int = 1
    ) -> None:
        """Open the folder.

        Args:
            data: one dataset, or a folder of folders that each hold `left/` and `right/`.
            protocol: a key of `PROTOCOLS`.
            side: the side view's codec.
            limit: at most so many pairs, after `every`.
            every: take every n-th pair, counted over all folders in order of their names.

        Raises:
            DatasetError: nothing that we know is there.
            UsageError: a number below 1.
        """
        if every < 1 or (limit is not None and limit < 1):
            raise UsageError(f"--every and --limit must be at least 1 (got {every} and {limit})")
        self._cut, self._side = PROTOCOLS[protocol], side
        sets = open_datasets(data)
        self.available = sum(len(frames) for frames in sets)
        places = [(frames, i) for frames in sets for i in range(len(frames))]
        self._places = places[::every][:limit]
        if not self._places:
            raise DatasetError(data, "no stereo pair in it")

    def __len__(self) -> int:
        """Return the number of pairs that will be judged."""
        return len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the pairs in order."""
        for frames, i in self._places:
            yield self._sample(f"{frames.name}/{frames.files(i)[0].stem}", frames[i])

    def _sample(self, name: str, frame: StereoFrame) -> Sample:
        if frame.main is None or frame.side is None:
            raise DatasetError(name, "a view of the pair is missing")
        if frame.main.shape != frame.side.shape:
            raise DatasetError(name, f"views of different size: {frame.main.shape} and {frame.side.shape}")
        side, side_bytes = self._side.code(self._cut(frame.side))
        lossy = self._side.lossy
        return Sample(name, self._cut(frame.main), side, side_bytes, frame.main, frame.side, lossy)
