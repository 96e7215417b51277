"""A drive past a textured wall, decoded by nobody: exact pictures, disparity and side views, painted where unseen.

The camera moves to the right by `PACE` baselines a frame; the wall leans, so disparity grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 128, 192
PACE = 0.5
STEP_NS = 100_000_000


@dataclass(frozen=True, eq=False)
class DriveFrame:
    """What a decoder gives; `truth` and `side` besides."""

    image: NDArray[np.uint8]
    mask: NDArray[np.float32]
    disparity: NDArray[np.float32]
    truth: NDArray[np.uint8]
    side: NDArray[np.uint8]
    ms: dict[str, float] = field(default_factory=dict)


@cache
def wall(seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    parts = [
        cv2.resize(
            rng.normal(0, a, (HEIGHT // c, 1024 // c, 3)), (1024, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        for c, a in ((16, 30), (4, 25), (2, 12))
    ]
    return np.clip(128 + sum(parts), 0, 255).astype(np.float32)


def disparity() -> NDArray[np.float32]:
    return np.repeat(np.linspace(5, 14, HEIGHT, dtype=np.float32)[:, None], WIDTH, axis=1)


def view(position: float, seed: int = 0) -> NDArray[np.uint8]:
    """Return what a camera sees that stands `position` baselines from the start."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    seen = cv2.remap(
        wall(seed), x + disparity() * np.float32(position), y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP
    )
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def drive_frame(index: int, seed: int = 0, noise_px: float = 0.0) -> DriveFrame:
    """Return frame `index`; where the side view cannot see, the picture is painted: right in colour, without detail."""
    truth, side = view(PACE * index, seed), view(PACE * index + 1, seed)
    near = disparity()
    if noise_px:
        rng = np.random.default_rng(1000 + index)
        near = near + cv2.resize(rng.normal(0, noise_px, (HEIGHT // 4, WIDTH // 4)), (WIDTH, HEIGHT)).astype(
            np.float32
        )
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    image = cv2.remap(side, x - near, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    hidden = x < disparity() + 1
    image = np.where(hidden[..., None], cv2.GaussianBlur(truth, (0, 0), 5), image)
    return DriveFrame(image, np.where(hidden, 0, 0.9).astype(np.float32), near, truth, side)
