"""Sweep the row with the edge's own transform: where near things are, which no prior and no small step finds.

The monocular prior knows ordinary distances, matching does not go far from it, and the search (`search.py`) looks 5
pixels to either side. A car at a few metres is 100 pixels away in whole frames. Here every disparity up to
`MOST` is tried, and semi-global matching (Hirschmueller 2008) over cells of 16x16 pixels says which were coded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

STRIDE = 16
STEP = 4
"""Between two disparities that are tried, in pixels: a part of the stride."""
MOST = 240
"""The largest, in pixels; at most half of the width."""
_SMALL, _LARGE = 0.3, 2.0
"""What a change of disparity from cell to cell costs, by one step and by more, in units of a picture's own costs."""
_LEAST = 0.01
"""The smallest such unit, in quantiser steps: at a few bytes every disparity fits, which tells nothing."""
_MARGIN, _APART, _COMPANY = 3.2, 12.0, 3
"""What a cell must win by a new disparity, how far that must be away in pixels, and of how many cells around, itself
among them, the same must hold."""
_MOST_LEFT = 0.42
"""Of how much the latents differ at any disparity, what may be left at those found. True side views leave 0.21 to 0.41;
old ones, whose things are nowhere along the row, 0.37 to 0.56, wrong ones 0.59 and more, five bytes 0.6 and more."""


class Swept(NamedTuple):
    """What a sweep found.

    Attributes:
        disparity: (B, 1, h, w) in pixels.
        scores: (B, D, h, w), higher is better, one for each of D disparities.
        left: (B, 1, 1, 1), how much the latents still differ there, of the mean over all disparities: 0 to about 1.
    """

    disparity: Tensor
    scores: Tensor
    left: Tensor

    def better(self, disparity: Tensor) -> Tensor:
        """Return (B, 1, h, w) bool: where what was found is far from `disparity` (B, 1, h, w), and far better.

        What lies near is left to matching, and to the search; where all that was found fits badly, nowhere.
        """
        steps = self.scores.shape[1]
        place = (disparity / STEP).clamp(0, steps - 1)
        low = place.floor().long().clamp(max=steps - 2)
        part = place - low
        told = self.scores.gather(1, low) * (1 - part) + self.scores.gather(1, low + 1) * part
        wins = self.scores.amax(1, keepdim=True) - told > _MARGIN
        wins &= (self.disparity - disparity).abs() > _APART
        # A cell alone is ambiguous.
        company = F.avg_pool2d(F.pad(wins.float(), (1, 1, 1, 1)), 3, 1) * 9
        return wins & (company > _COMPANY - 0.5) & (self.left < _MOST_LEFT)


@torch.no_grad()
def sweep(
    side: Tensor,
    y_hat: Tensor,
    gain: Tensor,
    transform: Callable[[Tensor], Tensor],
) -> Swept:
    """Try every disparity for every cell; return the best ones and all scores.

    Args:
        side: (B, 3, H, W) in [-1, 1].
        y_hat: (B, C, H/16, W/16) in quantiser steps.
        gain: (B, C, 1, 1), from the transform's units to steps.
        transform: images in [0, 1] to latents.
    """
    costs = _costs(side, y_hat.float(), gain, transform)
    # How much disparities differ depends on the rate: costs are told in units of a picture's own differences.
    unit = (costs.mean(1) - costs.amin(1)).mean((1, 2)).clamp_min(_LEAST)
    smooth = F.avg_pool2d(F.pad(costs / unit[:, None, None, None], (1, 1, 1, 1), mode="replicate"), 3, 1)
    scores = _semi_global(-smooth)
    best = scores.argmax(1, keepdim=True)
    last = scores.shape[1] - 1
    before, top, after = (scores.gather(1, (best + k).clamp(0, last)) for k in (-1, 0, 1))
    # The vertex of the parabola through three scores, where there are three.
    bend = (2 * top - before - after).clamp_min(1e-6)
    between = torch.where((best > 0) & (best < last), (after - before) / (2 * bend), 0.0).clamp(-0.5, 0.5)
    left = costs.gather(1, best).mean((1, 2, 3)) / costs.mean((1, 2, 3)).clamp_min(1e-6)
    return Swept((best + between) * STEP, scores, left[:, None, None, None])


def _costs(side: Tensor, y_hat: Tensor, gain: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Return (B, D, h, w): how far the latents of the side view, moved as a whole, are from the coded ones.

    Moving by whole cells moves the latents: as many transforms as there are steps in a cell are enough.
    """
    width = y_hat.shape[-1]
    cells = max(1, min(MOST, width * STRIDE // 2) // STRIDE)
    image = (side + 1) / 2
    parts = []
    for moved in range(0, STRIDE, STEP):
        shifted = F.pad(image, (moved, 0, 0, 0), mode="replicate")[..., : image.shape[-1]] if moved else image
        latents = F.pad(transform(shifted).float() * gain, (cells, 0, 0, 0), mode="replicate")
        every = latents.unfold(-1, width, 1).flip(3)[:, :, :, : cells + 1]  # (B, C, h, cells + 1, w)
        error = F.smooth_l1_loss(every, y_hat[:, :, :, None].expand_as(every), reduction="none")
        parts.append(error.mean(1).transpose(1, 2))
    costs = torch.stack(parts, 2).flatten(1, 2)
    # Of what lies beyond the side view's edge only copies of its first column can be tried: no evidence.
    tried = torch.arange(costs.shape[1], device=costs.device)[:, None] * STEP
    beyond = tried > torch.arange(width, device=costs.device) * STRIDE + STRIDE // 2
    return torch.where(beyond[:, None], torch.maximum(costs, costs.mean(1, keepdim=True)), costs)


def _semi_global(scores: Tensor) -> Tensor:
    """Return (B, D, h, w): scores summed along the best paths that reach a cell from left, right, above and below."""
    batch, depth, height, width = scores.shape
    rows = scores.permute(3, 0, 2, 1).reshape(width, batch * height, depth)
    columns = scores.permute(2, 0, 3, 1).reshape(height, batch * width, depth)
    longest = max(width, height)

    def padded(lines: Tensor) -> Tensor:
        return F.pad(lines, (0, 0, 0, 0, 0, longest - len(lines)))

    # All four directions at once: a GPU waits for each of these small steps.
    lines = torch.cat([padded(part) for part in (rows, rows.flip(0), columns, columns.flip(0))], 1)
    path, paths = lines[0], [lines[0]]
    for own in lines[1:]:
        best = path.amax(1, keepdim=True)
        beside = F.max_pool1d(path, 3, 1, 1) - _SMALL
        path = own - best + torch.maximum(torch.maximum(path, beside), best - _LARGE)
        paths.append(path)
    counts = [batch * height] * 2 + [batch * width] * 2
    right, left, down, up = torch.split(torch.stack(paths), counts, 1)
    across = (right[:width] + left[:width].flip(0)).view(width, batch, height, depth)
    along = (down[:height] + up[:height].flip(0)).view(height, batch, width, depth)
    return across.permute(1, 3, 2, 0) + along.permute(1, 3, 0, 2)
