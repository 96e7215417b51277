"""The pixel decoder: blend the warped side view with the generated image (docs/method.md)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv, stack, zero


class Blend(NamedTuple):
    """image and generated (B, 3, H, W) in [-1, 1]; mask (B, 1, H, W) in [0, 1]: how far the warp is trusted."""

    image: Tensor
    mask: Tensor
    generated: Tensor


class PixelDecoder(nn.Module):
    """Rebuild pixels from fused features, the warped side view and the painted image.

    image = m · (warp + tint) + (1 - m) · generated, then a small full-resolution correction. The tint is a
    smooth colour offset: two cameras rarely expose alike. Below the paper's threshold θ the mask is cut to
    zero, so nothing of an untrusted warp shines through (the supplement, Fig. 16).
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.fuse = conv(96 + 48 + 48, width)
        self.body = stack(width, 4)
        self.head = zero(conv(width, 48 + 16 + 3))
        self.finish = nn.Sequential(conv(9, 24), nn.SiLU(), conv(24, 24), nn.SiLU(), zero(conv(24, 3)))

    def forward(
        self, hidden4: Tensor, warped: Tensor, painted: Tensor, present: Tensor, threshold: float
    ) -> Blend:
        """Blend (B, 3, H, W) images in [-1, 1] guided by hidden4 (B, 96, H/4, W/4)."""
        tiles = [F.pixel_unshuffle(image, 4).to(hidden4.dtype) for image in (warped, painted)]
        h = self.body(self.fuse(torch.cat([hidden4, *tiles], 1)))
        out = self.head(F.silu(h)).float()
        generated = painted + F.pixel_shuffle(out[:, :48], 4)
        mask = torch.sigmoid(F.pixel_shuffle(out[:, 48:64], 4) + 1) * present
        mask = torch.where(mask < threshold, torch.zeros_like(mask), mask)
        tint = F.interpolate(out[:, 64:], scale_factor=4.0, mode="bilinear", align_corners=False)
        image = mask * (warped + tint) + (1 - mask) * generated
        image = image + self.finish(torch.cat([image, warped * present, generated], 1)).float()
        return Blend(image, mask, generated)
