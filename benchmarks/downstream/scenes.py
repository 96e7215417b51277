"""Which frames are judged: real pairs as `rd` opens them, or the synthetic street; with the next frame on drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rd.protocol import PROTOCOLS, Sample, Samples, SideView
from common.datasets import StereoDataset, open_datasets
from common.errors import UsageError
from common.types import RgbImage

PROTOCOL = "full"
SYNTHETIC = "synthetic"
SYNTHETIC_SIZE = (375, 1242)
_SYNTHETIC_FRAMES, _SYNTHETIC_STEP = 4, 25


@dataclass(frozen=True, eq=False)
class Scene:
    """Hold a frame that can be read: nothing is decoded before `read` is called.

    Attributes:
        name: `dataset/file`, without the file's suffix.
        read: returns the pair.
        following: returns the next main view of the drive, (H, W, 3) uint8 RGB; None where there is none.
    """

    name: str
    read: Callable[[], Sample]
    following: Callable[[], RgbImage] | None


class Scenes(Samples):
    """List the pairs under a folder at full resolution."""

    def __init__(
        self,
        data: Path,
        side: SideView,
        limit: int | None = None,
        every: int = 1,
        sequences: tuple[str, ...] = (),
    ) -> None:
        """Open the folder.

        Args:
            data: one dataset, or a folder of folders that each hold `left/` and `right/`.
            side: the side view's codec.
            limit: at most so many pairs, after `every`.
            every: take every n-th pair.
            sequences: names of the datasets whose frames follow each other in time.

        Raises:
            DatasetError: nothing that we know is there.
            UsageError: a number below 1, or a sequence that is not there.
        """
        super().__init__(data, PROTOCOL, side, limit, every)
        names = [frames.name for frames in open_datasets(data)]
        unknown = sorted(set(sequences) - set(names))
        if unknown:
            raise UsageError(f"--sequences: no {', '.join(unknown)} in {data} (there: {', '.join(names)})")
        self._sequences = sequences

    def scenes(self) -> Iterator[Scene]:
        """Yield the frames in order, unread."""
        for frames, i in self._places:
            name = f"{frames.name}/{frames.files(i)[0].stem}"
            follows = frames.name in self._sequences and i + 1 < len(frames)
            yield Scene(name, self._reader(name, frames, i), _main_reader(frames, i + 1) if follows else None)

    def _reader(self, name: str, frames: StereoDataset, i: int) -> Callable[[], Sample]:
        return lambda: self._sample(name, frames[i])


class SyntheticScenes:
    """List frames of one synthetic street, 25 frames apart, in the size of KITTI."""

    def __init__(
        self,
        seed: int,
        side: SideView,
        limit: int | None = None,
        every: int = 1,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Choose the street; `limit` frames of it (4 when None), `size` is (H, W).

        Raises:
            UsageError: a number below 1.
        """
        from common.synthetic import StereoStreet

        if every < 1 or (limit is not None and limit < 1):
            raise UsageError(f"--every and --limit must be at least 1 (got {every} and {limit})")
        self._street = StereoStreet(seed, *(size or SYNTHETIC_SIZE))
        self._side, self.available = side, limit or _SYNTHETIC_FRAMES
        self._numbers = [i * _SYNTHETIC_STEP * every for i in range(self.available)]

    def __len__(self) -> int:
        """Return the number of frames that will be judged."""
        return len(self._numbers)

    def scenes(self) -> Iterator[Scene]:
        """Yield the frames in order, not yet rendered; each has a next one."""
        for number in self._numbers:
            yield Scene(f"{SYNTHETIC}/{number:06d}", self._reader(number), self._main_reader(number + 1))

    def _reader(self, number: int) -> Callable[[], Sample]:
        def read() -> Sample:
            frame = self._street.frame(number)
            side, size = self._side.code(PROTOCOLS[PROTOCOL](frame.side))
            return Sample(
                f"{SYNTHETIC}/{number:06d}", frame.main, side, size, frame.main, frame.side, self._side.lossy
            )

        return read

    def _main_reader(self, number: int) -> Callable[[], RgbImage]:
        return lambda: self._street.frame(number).main


def open_scenes(
    data: str,
    side: SideView,
    limit: int | None,
    every: int,
    sequences: tuple[str, ...],
    seed: int,
    size: tuple[int, int] | None = None,
) -> Scenes | SyntheticScenes:
    """Return the frames of a folder, or of the synthetic street where `data` is `synthetic`."""
    if data == SYNTHETIC:
        if sequences:
            raise UsageError("--sequences names folders; the synthetic street is a sequence anyway")
        return SyntheticScenes(seed, side, limit, every, size)
    if size is not None:
        raise UsageError("--size is for the synthetic street; real frames are taken as they are")
    return Scenes(Path(data), side, limit, every, sequences)


def _main_reader(frames: StereoDataset, i: int) -> Callable[[], RgbImage]:
    def read() -> RgbImage:
        main = frames[i].main
        assert main is not None  # the datasets of a folder hold whole pairs
        return PROTOCOLS[PROTOCOL](main)

    return read
