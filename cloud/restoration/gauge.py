"""The gauge: how much a lossy codec has changed a picture, guessed from the picture alone.

A codec leaves what photographs do not have: steps at the borders of blocks, differences of exactly nothing, detail that
ends at one scale. A convolutional network of the restorer's size did not find that out in a thousand steps; of sums
over these a small one does in a minute.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

GRID = 8
"""Pixels between the borders of blocks, of JPEG's and of most of HEVC's and WebP's."""
LEAST, MOST = -3.0, 6.0
"""Bounds of a guess: an eighth of a level, 64 levels."""
_BELOW = (0.6, 1.6, 3.6)
_SCALES = 3
_EPSILON = 0.05
_GAUGE_STEPS, _GAUGE_RATE = 3000, 3e-3
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


def fit_gauge(gauge: Gauge, draw: Callable[[], tuple[Tensor, Tensor]], count: int) -> float:
    """Fit a gauge to `count` coded crops; return the root of its mean squared error on a tenth left out.

    In the logarithm to base 2 of the damage.

    Args:
        gauge: on any device; fitted in place.
        draw: gives (coded, original), each (4, 3, H, W) in [0, 1].
        count: how many crops.
    """
    seen, told = [], []
    for _ in tqdm(range(max(20, count // 4)), desc="gauge", disable=not sys.stderr.isatty()):
        coded, wanted = draw()
        seen.append(features(coded))
        told.append(damage(coded, wanted))
    device = gauge.get_buffer("mean").device
    x, y = torch.cat(seen).to(device), torch.cat(told).to(device)
    kept = len(x) - len(x) // 10
    gauge.get_buffer("mean").copy_(x[:kept].mean(0))
    gauge.get_buffer("spread").copy_(x[:kept].std(0).clamp_min(1e-3))
    x = (x - gauge.get_buffer("mean")) / gauge.get_buffer("spread")
    gauge.requires_grad_(True)
    optimiser = torch.optim.AdamW(gauge.parameters(), lr=_GAUGE_RATE, weight_decay=1e-2)
    for step in range(_GAUGE_STEPS):
        optimiser.param_groups[0]["lr"] = _GAUGE_RATE * (0.5 + 0.5 * math.cos(math.pi * step / _GAUGE_STEPS))
        rows = torch.randint(kept, (256,))
        guess = gauge.body(x[rows] + 0.03 * torch.randn(256, x.shape[1], device=device))[:, 0]
        optimiser.zero_grad()
        F.smooth_l1_loss(guess, y[rows], beta=0.5).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    gauge.requires_grad_(False)  # the correction's unit: it must not drift with the correction
    with torch.no_grad():
        return float((gauge.body(x[kept:])[:, 0] - y[kept:]).square().mean().sqrt())
