"""Keep upright things upright: one disparity along every vertical edge of the warped view (decision 20)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 1000.0
"""Weight of a link between two rows along a vertical edge, against 1 for what was found; it reaches √1000 ≈ 32 rows."""
ANYWHERE = 1.0
"""Weight of every other link."""
_LEVELNESS = 4.0
"""How much steeper along the row than across it the picture must be to be called a vertical edge, squared slopes."""
_NOISE = 0.06
"""A slope, of values in [-1, 1] per pixel, below which there is no edge."""
_WIDE, _TALL = 5, 3
"""Columns that an edge speaks for; rows over which slopes are averaged."""


def upright(disparity: Tensor, view: Tensor) -> Tensor:
    """Return disparities (B, 1, H, W) that change little along the vertical edges of a view (B, 3, H, W) in [-1, 1].

    Poles, trunks, walls and the sides of cars stand upright in the world, so they are as far away above as they are
    below; a disparity that wanders along them bends them. What was found is kept where there is no such edge. Column by
    column, x minimises Σ (x_y - d_y)² + Σ w_y (x_y - x_{y+1})².

    Args:
        disparity: in pixels.
        view: the side view moved by it; no gradient goes through it.
    """
    links = ANYWHERE + EDGE * vertical_edges(view.detach())
    return solve_columns(disparity.float(), torch.minimum(links[..., 1:, :], links[..., :-1, :]))


def vertical_edges(view: Tensor) -> Tensor:
    """Return (B, 1, H, W) in [0, 1]: how much of a vertical edge there is at or near each pixel of (B, 3, H, W)."""
    grey = F.pad(view.float().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    along = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    across = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    along, across = _mean(along.square()), _LEVELNESS * _mean(across.square())
    edges = ((along - across) / (along + across + _NOISE**2)).clamp_min(0)
    return F.max_pool2d(edges, (1, _WIDE), stride=1, padding=(0, _WIDE // 2))


def solve_columns(found: Tensor, links: Tensor) -> Tensor:
    """Return x (B, 1, H, W) that minimises Σ (x - found)² + Σ links (x - x a row down)²; links (B, 1, H-1, W) ≥ 0.

    A tridiagonal system a column, by parallel cyclic reduction: after log₂ H rounds every row stands alone. It takes
    more work than elimination, and no loop over rows, which a GPU would wait for.
    """
    above = F.pad(links, (0, 0, 1, 0))
    below = F.pad(links, (0, 0, 0, 1))
    a, b, c, r = -above, 1 + above + below, -below, found
    step, rows = 1, found.shape[2]
    while step < rows:
        before = [F.pad(t, (0, 0, step, 0), value=v)[..., :rows, :] for t, v in _padded(a, b, c, r)]
        after = [F.pad(t, (0, 0, 0, step), value=v)[..., step:, :] for t, v in _padded(a, b, c, r)]
        up, down = -a / before[1], -c / after[1]
        b = b + up * before[2] + down * after[0]
        r = r + up * before[3] + down * after[3]
        a, c = up * before[0], down * after[2]
        step *= 2
    return r / b


def _padded(a: Tensor, b: Tensor, c: Tensor, r: Tensor) -> tuple[tuple[Tensor, float], ...]:
    """Return the rows' coefficients, each with what stands for it outside: a row that says 0 and is linked to none."""
    return (a, 0.0), (b, 1.0), (c, 0.0), (r, 0.0)


def _mean(values: Tensor) -> Tensor:
    """Return the mean over three columns and `_TALL` rows around each pixel."""
    return F.avg_pool2d(F.pad(values, (1, 1, _TALL // 2, _TALL // 2), mode="replicate"), (_TALL, 3), stride=1)
