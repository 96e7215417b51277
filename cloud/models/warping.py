"""Move a view along its rows by a disparity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, disparity: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample `image` (B, C, H, W) at column x - disparity (B, 1, H, W), borders repeated; float32.

    mode: `bilinear`, or `bicubic`, which keeps the fine texture that the eye and LPIPS look for.
    """
    _, _, height, width = disparity.shape
    xs = torch.arange(width, device=disparity.device, dtype=torch.float32)
    ys = torch.arange(height, device=disparity.device, dtype=torch.float32)
    grid_x = (xs[None, None] - disparity[:, 0].float()) * (2 / max(width - 1, 1)) - 1
    grid_y = (ys * (2 / max(height - 1, 1)) - 1)[None, :, None].expand_as(grid_x)
    grid = torch.stack([grid_x, grid_y], -1)
    return F.grid_sample(image.float(), grid, mode=mode, padding_mode="border", align_corners=True)
