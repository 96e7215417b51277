"""The few types that every room shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RgbImage: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB, C-contiguous."""


@dataclass(frozen=True)
class RigRecord:
    """Hold what the rig says beside its pictures; `kind` ("oxts", "calib_cam_to_cam", ...) names its form."""

    kind: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class StereoFrame:
    """Hold what a stereo rig saw at one instant.

    Attributes:
        seq: number of the frame in its stream, from 0, without gaps at the source.
        capture_ns: capture time in nanoseconds, in the rig's own clock (both views share it).
        main: (H, W, 3) uint8 RGB, the view our codec sends; None when this process has only the side view.
        side: (H, W, 3) uint8 RGB, the view a conventional codec sends; None when it is missing.
        records: of this instant, at most one of a kind; calibration comes with the first frame.
    """

    seq: int
    capture_ns: int
    main: RgbImage | None
    side: RgbImage | None
    records: tuple[RigRecord, ...] = ()


class SideCodec(IntEnum):
    """Name the conventional codec of the side view; the numbers are on the wire."""

    WEBP_LOSSLESS = 1
    JPEG = 2
    HEVC = 3


class SideState(str, Enum):
    """Say which side view a frame was decoded with."""

    EXACT = "exact"
    """The side view of the same instant, within the pairing tolerance."""
    STALE = "stale"
    """An older side view, because the right one did not arrive in time."""
    MISSING = "missing"
    """None at all."""
