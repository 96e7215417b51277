"""Take out of a picture what a network that works on a grid lays over all of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_AROUND = 9
"""Cells to a side over which a place's mean is taken."""


def without_pattern(image: Tensor, period: int) -> Tensor:
    """Return images or corrections (B, C, H, W) whose places in cells of `period` squared have the same local mean.

    A network that works at a stride can add one pattern everywhere; LPIPS takes it for texture. What repeats with the
    grid over nine cells is no part of any picture: the mean of each place around, less the mean of all places, is
    taken out.
    """
    batch, channels, height, width = image.shape
    whole = F.pad(image, (0, -width % period, 0, -height % period), mode="replicate")
    # Two boxes of a cell's side: what repeats with the cell vanishes in them, slopes stay (and are no stairs).
    smooth = F.pad(whole, (period - 1,) * 4, mode="replicate")
    smooth = F.avg_pool2d(F.avg_pool2d(smooth, period, 1), period, 1)
    around = F.pad(F.pixel_unshuffle(whole - smooth, period), (_AROUND // 2,) * 4, mode="replicate")
    mean = F.avg_pool2d(around, _AROUND, 1)
    rows, columns = mean.shape[2:]
    mean = mean.view(batch, channels, period * period, rows, columns)
    pattern = F.pixel_shuffle((mean - mean.mean(2, keepdim=True)).flatten(1, 2), period)
    return (whole - pattern)[:, :, :height, :width]
