"""Bring what was rebuilt at the coded size to the frame's own (docs/decisions, 0023).

A frame may be coded at half or double its size. Its geometry then is the frame's too, once it is scaled, and the side
view is there at the frame's size: so the fine detail of the frame comes from the side view itself, fetched anew, and
only what is coarser than that from the picture rebuilt.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from .upright import upright as stand_upright
from .warping import warp

TRUSTED = 0.75
"""Mask from which on the side view's detail is taken whole: the mask lets a part of what is painted through everywhere,
for it averages errors away, and detail needs none of that."""


class Framed(NamedTuple):
    """A batch as rebuilt: image and warped (B, 3, H, W) in [-1, 1], mask and disparity (B, 1, H, W), float32."""

    image: Tensor
    warped: Tensor
    mask: Tensor
    disparity: Tensor


def frame(coded: Framed, side: Tensor, kernel: str, upright: bool) -> Framed:
    """Return what was rebuilt at the coded size, at the size of the side view.

    Args:
        coded: at the coded size.
        side: (B, 3, H, W) in [-1, 1], the side view at the frame's size; anything where the mask is 0.
        kernel: of the last warp (`cloud.models.warping.warp`).
        upright: an enlarged disparity is made to stand upright again.
    """
    height, width = side.shape[2:]
    grows = height > coded.image.shape[2]
    disparity = _resized(coded.disparity, height, width) * (width / coded.image.shape[3])
    if grows and upright:
        disparity = stand_upright(disparity, warp(side, disparity))
    warped = warp(side, disparity, kernel)
    mask = _resized(coded.mask, height, width)
    how = "bicubic" if grows else "bilinear"
    detail = warped - _resized(coded.warped, height, width, how)
    image = _resized(coded.image, height, width, how) + (mask / TRUSTED).clamp(0, 1) * detail
    return Framed(image, warped, mask, disparity)


def _resized(values: Tensor, height: int, width: int, mode: str = "bilinear") -> Tensor:
    """Return (B, C, h, w) at another size; to half the size, `bilinear` is the mean of four."""
    return F.interpolate(values, size=(height, width), mode=mode, align_corners=False)
