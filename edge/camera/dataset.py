"""Play a stereo dataset on disk as if it were a camera."""

from __future__ import annotations

from collections.abc import Iterator

from common.datasets import open_dataset
from common.errors import CameraError, InputError
from common.types import StereoFrame


class DatasetCamera:
    """Yield the frames of any layout that `common.datasets` reads, with the capture times on disk."""

    def __init__(self, spec: str, folder: str, fps: float | None = None, limit: int | None = None) -> None:
        """Open the dataset.

        Raises:
            DatasetError: The folder holds no dataset.
            PairMissing: One view of a frame is missing.
        """
        self.name = spec
        self._dataset = open_dataset(folder, fps)
        self.fps = fps if fps is not None else self._dataset.fps
        self._count = len(self._dataset) if limit is None else min(limit, len(self._dataset))

    def __len__(self) -> int:
        """Return how many frames it will yield."""
        return self._count

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        """Yield the frames in order, from number `start` on.

        Raises:
            CameraError: An image does not decode.
        """
        for index in range(start, self._count):
            try:
                frame = self._dataset[index]
            except InputError as error:
                raise CameraError(self.name, f"frame {index}: {error}") from error
            yield frame

    def close(self) -> None:
        """Do nothing: no file stays open."""
