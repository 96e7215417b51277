"""Serve stereo frames of files that are read only when asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from common.datasets.calibration import Calibration
from common.datasets.images import read_image
from common.datasets.records import OXTS, read_record
from common.types import RigRecord, StereoFrame

_HOUR_NS = 3_600_000_000_000


class StereoDataset(Sequence[StereoFrame]):
    """Hold stereo frames in order; `dataset[i]` reads and decodes frame i.

    Attributes:
        name: Short name, for reports.
        fps: Usual frame rate.
        calibration: Geometry of the rig, or None where it is not known.
    """

    name: str
    fps: float
    calibration: Calibration | None

    @abstractmethod
    def read(self, index: int) -> StereoFrame:
        """Read frame `index`, 0 to len - 1.

        Raises:
            ImageUnreadable: One of its files does not decode.
        """

    @abstractmethod
    def files(self, index: int) -> tuple[Path, Path]:
        """Return the files of frame `index`: main and side."""

    @overload
    def __getitem__(self, index: int) -> StereoFrame: ...
    @overload
    def __getitem__(self, index: slice) -> list[StereoFrame]: ...
    def __getitem__(self, index: int | slice) -> StereoFrame | list[StereoFrame]:
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"frame {index} of {len(self)} in {self.name}")
        return self.read(place)


@dataclass(frozen=True)
class Pair:
    """Hold the two files of a frame, when it was captured, and the file of its OXTS record where it has one."""

    main: Path
    side: Path
    capture_ns: int
    oxts: Path | None = None


class PairDataset(StereoDataset):
    """Serve the pairs of one drive or one folder."""

    def __init__(
        self,
        name: str,
        pairs: Sequence[Pair],
        fps: float,
        calibration: Calibration | None = None,
        calibration_files: Sequence[Path] = (),
    ) -> None:
        self.name, self.fps, self.calibration = name, fps, calibration
        self.pairs = tuple(pairs)
        self.calibration_files = tuple(calibration_files)

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> StereoFrame:
        """Read frame `index`; `seq` counts from 0 without gaps, whatever the files are called."""
        pair = self.pairs[index]
        return StereoFrame(
            index, pair.capture_ns, read_image(pair.main), read_image(pair.side), self.records(index)
        )

    def records(self, index: int) -> tuple[RigRecord, ...]:
        """Read what the rig says at frame `index`; calibration comes with frame 0."""
        oxts = self.pairs[index].oxts
        files = [(path.stem, path) for path in self.calibration_files] if index == 0 else []
        files += [(OXTS, oxts)] if oxts is not None else []
        found = (read_record(kind, path) for kind, path in files)
        return tuple(record for record in found if record is not None)

    def files(self, index: int) -> tuple[Path, Path]:
        """Return the files of frame `index`: main and side."""
        return self.pairs[index].main, self.pairs[index].side


class Concatenation(StereoDataset):
    """Serve several datasets one after the other, as one drive.

    A part whose times do not follow the part before within an hour is moved in time to begin one frame after
    it, so that capture times increase throughout, without gaps of years between drives.
    """

    def __init__(self, name: str, parts: Sequence[StereoDataset]) -> None:
        self.name, self.parts = name, tuple(parts)
        self.fps = parts[0].fps
        self.calibration = parts[0].calibration
        self._starts: list[int] = []
        total = 0
        for part in parts:
            self._starts.append(total)
            total += len(part)
        self._total = total
        self._offsets_ns: list[int] | None = None

    def __len__(self) -> int:
        return self._total

    def read(self, index: int) -> StereoFrame:
        """Read frame `index` of the whole."""
        number, inner = self._locate(index)
        frame = self.parts[number].read(inner)
        return replace(frame, seq=index, capture_ns=frame.capture_ns + self._offset_ns(number))

    def files(self, index: int) -> tuple[Path, Path]:
        """Return the files of frame `index`: main and side."""
        number, inner = self._locate(index)
        return self.parts[number].files(inner)

    def _locate(self, index: int) -> tuple[int, int]:
        number = max(n for n, start in enumerate(self._starts) if start <= index)
        return number, index - self._starts[number]

    def _offset_ns(self, number: int) -> int:
        if self._offsets_ns is None:
            self._offsets_ns = []
            end: int | None = None
            for part in self.parts:
                first, last = _span_ns(part)
                offset = (
                    0 if end is None or end < first <= end + _HOUR_NS else end + round(1e9 / part.fps) - first
                )
                self._offsets_ns.append(offset)
                end = last + offset
        return self._offsets_ns[number]


def _span_ns(part: StereoDataset) -> tuple[int, int]:
    """Return the first and last capture time of a part without decoding an image where that is possible."""
    if isinstance(part, PairDataset):
        return part.pairs[0].capture_ns, part.pairs[-1].capture_ns
    return part[0].capture_ns, part[-1].capture_ns
