"""Drive along a synthetic street."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from common.synthetic import StereoStreet
from common.types import StereoFrame


class SyntheticCamera:
    """Yield the frames of a seeded street: without end unless a limit is set.

    The same spec gives the same pictures and capture times in every process, so the two views of one vehicle
    may come from two processes.
    """

    def __init__(
        self,
        spec: str,
        seed: int = 0,
        height: int = 256,
        width: int = 832,
        fps: float | None = None,
        limit: int | None = None,
    ) -> None:
        self.name = spec
        self.fps = fps if fps is not None else 10.0
        self._street = StereoStreet(seed, height, width, self.fps)
        self._limit = limit

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        """Yield the frames in order, from number `start` on."""
        for index in count(start) if self._limit is None else range(start, self._limit):
            frame = self._street.frame(index)
            yield StereoFrame(index, frame.capture_ns, frame.main, frame.side, self._street.records(index))

    def close(self) -> None:
        """Do nothing: no resource is held."""
