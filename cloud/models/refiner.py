"""What the refinement does to a picture: into its intervals, smoothed by a network, into its intervals again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.entropy.refinement import Refinement
from common.luma import BLOCK, WEIGHTS, basis

from .blocks import conv, stack, zero
from .warping import warp

MARGIN = 0.15
"""How far inside its interval, in steps, a coefficient is put that was outside: where the truth is, in the mean."""

SHARE = 0.5
"""How far a picture goes to where the network puts it, where nothing else is said: the rest of the way costs grain."""
SMOOTH = 16.0
"""Pixels, a standard deviation: what is smoother of the network's change is taken whole (docs/decisions/0015)."""
_POOL = 4
REACH = 4.0
"""How many pixels a part of the picture can be moved to either side."""


def intervals(refinements: Sequence[Refinement], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return (low, high (B, 256, H/16, W/16), steps (B, 256, 1, 1)) of refinements of one size."""
    bounds = [refinement.bounds() for refinement in refinements]
    lows, highs = (
        torch.from_numpy(
            np.stack([one[i].reshape(*one[i].shape[:2], -1).transpose(2, 0, 1) for one in bounds])
        )
        for i in range(2)
    )
    steps = torch.from_numpy(np.stack([one.steps.reshape(-1, 1, 1) for one in refinements]))
    return lows.to(device), highs.to(device), steps.to(device)


class Projection(nn.Module):
    """Move a picture to the nearest one whose luma coefficients lie in given intervals.

    The set of such pictures is convex and the original is one of them: its distance can only become smaller (as in
    reconstruction for Wyner-Ziv coding, Girod et al. 2005). Colour differences stay as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        waves = torch.from_numpy(basis())
        # Blocks do not overlap, so it is one orthonormal matrix a block: far faster than a convolution with a stride.
        filters = torch.einsum("vy,ux->vuyx", waves, waves).reshape(BLOCK * BLOCK, BLOCK * BLOCK, 1, 1)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("weights", torch.tensor(WEIGHTS).view(1, 3, 1, 1), persistent=False)

    def coefficients(self, image: Tensor) -> Tensor:
        """Return (B, 256, H/16, W/16) luma coefficients of an image (B, 3, H, W) in [-1, 1]."""
        with torch.autocast(image.device.type, enabled=False):
            plane = ((image.float() + 1) / 2 * self.get_buffer("weights")).sum(1, keepdim=True)
            return F.conv2d(F.pixel_unshuffle(plane, BLOCK), self.get_buffer("filters"))

    def waves(self, coefficients: Tensor) -> Tensor:
        """Return the plane (B, 1, H, W) that coefficients (B, 256, H/16, W/16) stand for, in luma units."""
        with torch.autocast(coefficients.device.type, enabled=False):
            tiles = F.conv_transpose2d(coefficients.float(), self.get_buffer("filters"))
            return F.pixel_shuffle(tiles, BLOCK)

    def forward(self, image: Tensor, low: Tensor, high: Tensor, steps: Tensor, margin: float = 0.0) -> Tensor:
        """Return the image (B, 3, H, W) in [-1, 1], moved.

        Args:
            image: the same shape.
            low: (B, 256, H/16, W/16), where the intervals begin, in luma units.
            high: the same shape, where they end.
            steps: (B, 256, 1, 1), 0 where a frequency was not sent.
            margin: how far inside the interval to go, in steps.
        """
        found = self.coefficients(image)
        inside = torch.minimum(torch.maximum(found, low + margin * steps), high - margin * steps)
        moved = torch.where((found < low) | (found > high), inside, found)
        return image + 2 * self.waves(moved - found)


def smooth(image: Tensor) -> Tensor:
    """Return an image (B, C, H, W), sides multiples of 4, with a Gaussian of `SMOOTH` pixels over it."""
    sigma = SMOOTH / _POOL
    reach = math.ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (at / sigma).square())
    weights = (weights / weights.sum()).to(image.dtype)
    channels = image.shape[1]
    small = F.pad(F.avg_pool2d(image, _POOL), (reach, reach, reach, reach), mode="replicate")
    small = F.conv2d(small, weights.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), groups=channels)
    small = F.conv2d(small, weights.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), groups=channels)
    return F.interpolate(small, size=image.shape[2:], mode="bilinear", align_corners=False)


class Refiner(nn.Module):
    """Make a picture of what the intervals say: move, project, paint, project.

    Most of what is wrong with a picture made of the side view is where things stand. So its parts are first moved
    sideways (a projection alone would keep the wrong edge and add waves for the right one), then put into the
    intervals; what is left of the blocks' waves is painted over, as far as the intervals allow.
    """

    def __init__(self, width: int = 48, wide: int = 96) -> None:
        super().__init__()
        self.projection = Projection()
        # Picture, projected picture, warp, mask, and the luma that the levels alone stand for.
        self.down = conv(4 * (3 + 3 + 3 + 1 + 1), width)
        self.fine = stack(width, 1)
        self.gather = nn.Conv2d(width, wide, 4, 4)
        self.coarse = stack(wide, 3)
        self.spread = nn.Conv2d(wide, 16 * width, 1)
        self.body = stack(width, 1)
        self.shift = zero(conv(width, 1))
        self.again = conv(width + 4 * (3 + 3), width)
        self.finish = stack(width, 2)
        self.head = zero(conv(width, 12))

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Refiner:
        """Return a refiner with these weights, of the size they have.

        Raises:
            KeyError: the weights that tell the size are missing.
            RuntimeError: others are missing or unknown.
        """
        refiner = cls(len(weights["shift.weight"][0]), len(weights["gather.weight"]))
        refiner.load_state_dict({name: value.float() for name, value in weights.items()})
        return refiner

    def forward(
        self,
        image: Tensor,
        warped: Tensor,
        mask: Tensor,
        low: Tensor,
        high: Tensor,
        steps: Tensor,
        share: float | Tensor = SHARE,
    ) -> Tensor:
        """Return the refined image (B, 3, H, W) in [-1, 1].

        Args:
            image: (B, 3, H, W) in [-1, 1].
            warped: the same shape, the side view moved onto the main one.
            mask: (B, 1, H, W) in [0, 1].
            low: see `Projection`; high and steps too.
            high: where the intervals end.
            steps: 0 where a frequency was not sent.
            share: how far the image goes towards the network's, which is in the intervals, in what is not smooth;
                one number, or (B, 1, 1, 1).
        """
        near = self.projection(image, low, high, steps, MARGIN)
        told = torch.where((low <= 0) & (high >= 0), torch.zeros_like(low), (low + high) / 2)
        alone = self.projection.waves(told)
        seen = torch.cat([image, near, warped, mask, alone - alone.mean((2, 3), keepdim=True)], 1)
        h = self.fine(self.down(F.pixel_unshuffle(seen, 2)))
        h = self.body(h + F.pixel_shuffle(self.spread(self.coarse(self.gather(h))), 4))
        shift = REACH * torch.tanh(self.shift(F.silu(h)).float())
        shift = F.interpolate(shift, scale_factor=2.0, mode="bilinear", align_corners=False)
        moved = warp(image, shift, "bicubic")
        near = self.projection(moved, low, high, steps, MARGIN)
        parts = F.pixel_unshuffle(torch.cat([moved, near], 1), 2)
        h = self.finish(self.again(torch.cat([h, parts.to(h.dtype)], 1)))
        out = F.pixel_shuffle(self.head(F.silu(h)).float(), 2)
        refined: Tensor = self.projection(near + out, low, high, steps)
        change = refined - image
        whole = smooth(change.float())
        return image + whole + share * (change - whole)
