"""Search along the row with the edge's own transform: which disparity would have made the edge send what it sent?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv
from .warping import warp

OFFSETS = (-5.0, -2.5, -1.0, 0.0, 1.0, 2.5, 5.0)
"""Tried around the present disparity, in full-resolution pixels."""


class Found(NamedTuple):
    """offset (B, 1, H/16, W/16) in full-resolution pixels; evidence (B, channels, H/16, W/16) for later layers."""

    offset: Tensor
    evidence: Tensor


class Search(nn.Module):
    """Analysis by synthesis over a few disparities: warp, transform, quantiser's units, compare with ŷ.

    A learned matcher compares features that it hopes are comparable; here both sides of the comparison went
    through the same transform, so it holds from the first training step and on scenes never seen. The costs are
    evidence, not a path for gradients: neither the transform nor the disparity learns through them.
    """

    def __init__(self, channels: int = 32, offsets: tuple[float, ...] = OFFSETS) -> None:
        super().__init__()
        self.offsets = offsets
        # Costs are mean Huber distances in quantiser steps: a fiftieth of a step decides.
        self.log_temperature = nn.Parameter(torch.tensor(0.02).log())
        self.read = nn.Sequential(
            conv(2 * len(offsets), channels), nn.SiLU(), conv(channels, channels), nn.SiLU()
        )

    @torch.no_grad()
    def costs(
        self,
        side: Tensor,
        disparity: Tensor,
        y_hat: Tensor,
        gain: Tensor,
        transform: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return (B, offsets, H/16, W/16): how far each offset's latents are from the coded ones.

        Args:
            side: (B, 3, H, W) in [-1, 1].
            disparity: (B, 1, H, W) in pixels.
            y_hat: (B, C, H/16, W/16) in quantiser steps.
            gain: (B, C, 1, 1), from the transform's units to steps.
            transform: images in [0, 1] to latents.
        """
        found = []
        for offset in self.offsets:
            latents = transform((warp(side, disparity + offset) + 1) / 2)
            error = latents.float() * gain - y_hat
            found.append(
                F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none").mean(1, keepdim=True)
            )
        costs = torch.cat(found, 1)
        # A cell alone is ambiguous: its neighbours have half a say.
        around = F.avg_pool2d(F.pad(costs, (1, 1, 1, 1), mode="replicate"), 3, 1)
        return (costs + around) / 2

    def forward(
        self,
        side: Tensor,
        disparity: Tensor,
        y_hat: Tensor,
        gain: Tensor,
        transform: Callable[[Tensor], Tensor],
    ) -> Found:
        """Return the expected offset and the evidence; arguments as for `costs`."""
        costs = self.costs(side, disparity, y_hat, gain, transform)
        likely = (-costs / self.log_temperature.exp()).softmax(1)
        offset = (likely * costs.new_tensor(self.offsets)[None, :, None, None]).sum(1, keepdim=True)
        relative = costs - costs.amin(1, keepdim=True)
        return Found(offset, self.read(torch.cat([relative * 10, likely], 1)))
