"""Bring a picture's longest waves to where its packet says that they are (proto/BITSTREAM.md, section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from common.entropy.illumination import Illumination
from common.illumination import TO_YCBCR, wave

MARGIN = 0.15
"""Of an interval: a wave that was outside it goes this far inside, for it seldom is just at the edge."""


def relight(images: Tensor, told: Sequence[Illumination | None]) -> Tensor:
    """Return pictures (B, 3, H, W) float32 in [-1, 1] with each wave moved into its interval.

    The waves are orthogonal, and the original's are inside their intervals: the squared error of luma, and of each
    colour difference, can only become smaller (up to what `MARGIN` and clipping to [-1, 1] do). Of a picture that is
    told nothing, nothing changes.
    """
    return torch.stack([_relit(image, light) for image, light in zip(images, told, strict=True)])


def _relit(image: Tensor, light: Illumination | None) -> Tensor:
    """Return one picture (3, H, W)."""
    if light is None or not light.waves:
        return image
    height, width = image.shape[1:]
    plane, downwards, across = (
        torch.tensor(part, device=image.device) for part in zip(*light.waves, strict=True)
    )

    def basis(size: int) -> Tensor:
        counts = range(1 + max(max(v, u) for _, v, u in light.waves))
        return torch.from_numpy(np.stack([wave(n, size) for n in counts])).to(image.device).float()

    rows, columns = basis(height)[downwards], basis(width)[across]
    to_planes = torch.from_numpy(TO_YCBCR).to(image.device).float()
    planes = torch.einsum("pc,chw->phw", to_planes, (image + 1) / 2)
    found = torch.einsum("khw,kh,kw->k", planes[plane], rows, columns) / (height * width)
    low, high = (torch.from_numpy(edge).to(image.device).float() for edge in (light.low, light.high))
    inside = MARGIN * (high - low)
    target = torch.maximum(torch.minimum(found, high - inside), low + inside)
    change = torch.where((found < low) | (found > high), target - found, 0.0)
    moved = torch.zeros_like(planes).index_add_(
        0, plane, change[:, None, None] * rows[:, :, None] * columns[:, None]
    )
    return image + 2 * torch.einsum("cp,phw->chw", torch.linalg.inv(to_planes), moved)
