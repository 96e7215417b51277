"""Say what a camera is: something that yields stereo frames until it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from common.types import StereoFrame


class Camera(Protocol):
    """Yield stereo frames as fast as they are asked for; pacing is the caller's.

    Attributes:
        name: The spec it was opened by.
        fps: Frames per second it was made for.
    """

    @property
    def name(self) -> str:
        """Return the spec it was opened by."""

    @property
    def fps(self) -> float:
        """Return the frames per second it was made for."""

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        """Yield frames in order of capture; ends when the camera ends.

        Args:
            start: Number of the first frame wanted; only a recording, whose frames are the same each time, skips.

        Raises:
            CameraError: It breaks; the frames before were yielded.
        """

    def close(self) -> None:
        """Release what it holds; may be called more than once."""
