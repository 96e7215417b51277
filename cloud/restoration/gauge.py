"""The gauge: how much a lossy codec has changed a picture, guessed from the picture alone.

A codec leaves what photographs do not have: steps at the borders of blocks, differences of exactly nothing, detail that
ends at one scale. A convolutional network of the restorer's size did not find that out in a thousand steps; of sums
over these a small one does in a minute.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 8
"""Pixels between the borders of blocks, of JPEG's and of most of HEVC's and WebP's."""
LEAST, MOST = -3.0, 6.0
"""Bounds of a guess: an eighth of a level, 64 levels."""
_BELOW = (0.6, 1.6, 3.6)
_SCALES = 3
_EPSILON = 0.05
_FEATURES = 3 * (2 * GRID + 2 * len(_BELOW) + 2 * _SCALES)


def features(image: Tensor) -> Tensor:
    """Return (B, 84) sums over a picture (B, 3, H, W) in [0, 1], at least 32 pixels to a side.

    For luma and the two colour differences, in levels of 255 and in both directions: the logarithm of the mean step
    between neighbours at each place of a block; which part of the steps is below three thresholds; the logarithm of
    the mean second difference of the picture and of its halves.
    """
    red, green, blue = (image * 255).unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    found = []
    for plane in (luma, blue - luma, red - luma):
        for turned in (plane, plane.transpose(1, 2)):
            steps = (turned[..., 1:] - turned[..., :-1]).abs()
            columns = steps.mean(1)
            whole = columns[:, : columns.shape[1] // GRID * GRID]
            found += list((whole.reshape(len(image), -1, GRID).mean(1) + _EPSILON).log2().unbind(1))
            found += [(steps < bound).float().mean((1, 2)) * 4 for bound in _BELOW]
            scaled = turned[:, None]
            for _ in range(_SCALES):
                bend = (scaled[..., 2:] - 2 * scaled[..., 1:-1] + scaled[..., :-2]).abs().mean((1, 2, 3))
                found.append((bend + _EPSILON).log2())
                scaled = F.avg_pool2d(scaled, 2)
    return torch.stack(found, 1)


class Gauge(nn.Module):
    """Guess the damage of pictures: a perceptron of 10 k parameters on `features`."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_FEATURES))
        self.register_buffer("spread", torch.ones(_FEATURES))
        self.body = nn.Sequential(
            nn.Linear(_FEATURES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return (B,): the logarithm to base 2 of the root of the mean squared error, in levels of 255."""
        with torch.autocast(image.device.type, enabled=False):
            seen = (features(image.float()) - self.get_buffer("mean")) / self.get_buffer("spread")
            return self.body(seen)[:, 0].clamp(LEAST, MOST)  # type: ignore[no-any-return]


def damage(coded: Tensor, wanted: Tensor) -> Tensor:
    """Return (B,): the damage of pictures (B, 3, H, W) in [0, 1], as a gauge is to guess it."""
    levels = ((coded - wanted) * 255).square().mean((1, 2, 3)).sqrt()
    return levels.clamp_min(2.0**LEAST).log2()
