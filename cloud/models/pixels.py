"""The pixel decoder: blend the warped side view with the generated image (docs/method.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv, stack, zero
from .geometry import Comparison


class Blend(NamedTuple):
    """image and generated (B, 3, H, W) in [-1, 1]; mask (B, 1, H, W) in [0, 1]: how far the warp is trusted."""

    image: Tensor
    mask: Tensor
    generated: Tensor


class PixelDecoder(nn.Module):
    """Rebuild pixels from fused features, the warped side view and the painted image.

    image = m · (warp + tint) + (1 - m) · generated, then a small full-resolution correction. The tint is a
    smooth colour offset: two cameras rarely expose alike. Below the paper's threshold θ the mask is cut to
    zero, so nothing of an untrusted warp shines through (the supplement, Fig. 16). With `feedback` the blend is
    run through the edge's own transform, and what differs from the decoded latents is corrected: that is how bits
    reach appearance.
    """

    def __init__(
        self, latent_channels: int, feedback: bool = True, mask: bool = True, width: int = 96
    ) -> None:
        super().__init__()
        self.masked = mask
        self.feedback = feedback
        if feedback:
            self.comparison = Comparison(latent_channels)
            self.correct = nn.Sequential(conv(width + 16, width), stack(width, 1), nn.SiLU())
            self.correction = zero(conv(width, 48))
        self.fuse = conv(96 + 48 + 48, width)
        self.body = stack(width, 4)
        self.head = zero(conv(width, 48 + 16 + 3))
        self.finish = nn.Sequential(conv(9, 24), nn.SiLU(), conv(24, 24), nn.SiLU(), zero(conv(24, 3)))

    def forward(
        self,
        hidden4: Tensor,
        warped: Tensor,
        painted: Tensor,
        present: Tensor,
        threshold: float,
        latents: Tensor,
        transform: Callable[[Tensor], Tensor],
    ) -> Blend:
        """Blend (B, 3, H, W) images in [-1, 1] guided by hidden4 (B, 96, H/4, W/4).

        latents (B, C, H/16, W/16) are the decoded ones, transform the edge's analysis of images in [0, 1].
        """
        tiles = [F.pixel_unshuffle(image, 4).to(hidden4.dtype) for image in (warped, painted)]
        h = self.body(self.fuse(torch.cat([hidden4, *tiles], 1)))
        out = self.head(F.silu(h)).float()
        generated = painted + F.pixel_shuffle(out[:, :48], 4)
        mask = torch.sigmoid(F.pixel_shuffle(out[:, 48:64], 4) + 1) * present
        mask = (
            torch.where(mask < threshold, torch.zeros_like(mask), mask) if self.masked else present + 0 * mask
        )
        tint = F.interpolate(out[:, 64:], scale_factor=4.0, mode="bilinear", align_corners=False)
        image = mask * (warped + tint) + (1 - mask) * generated
        if self.feedback:
            found = transform((image + 1) / 2)
            wrong = self.comparison(latents.to(found.dtype), found)
            corrected = self.correction(self.correct(torch.cat([h, wrong.to(h.dtype)], 1)))
            image = image + F.pixel_shuffle(corrected.float(), 4)
        image = image + self.finish(torch.cat([image, warped * present, generated], 1)).float()
        return Blend(image, mask, generated)
