"""Pictures in bytes to the networks' tensors, and back."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from common.resampling import resample


def fitted(view: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return a view (H', W', 3) uint8 of any size at the frame's."""
    if view.shape[:2] == (height, width):
        return view
    how = cv2.INTER_AREA if view.shape[0] > height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(view, (width, height), interpolation=how), np.uint8)


def to_planes(
    view: NDArray[np.uint8] | None,
    size: tuple[int, int],
    padded: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Return a view as (1, 3, *padded) float32 in [0, 1]; zeros where there is none.

    Args:
        view: (H, W, 3) uint8, at the frame's size.
        size: rows and columns that it is coded at.
        padded: the same with the last row and column repeated, up to whole latents.
        device: where to.
    """
    if view is None:
        return torch.zeros(1, 3, *padded, device=device)
    tensor = torch.from_numpy(np.ascontiguousarray(resample(view, *size))).to(device)
    planes = tensor.permute(2, 0, 1)[None].float() / 255
    planes = F.pad(planes, (0, padded[1] - size[1], 0, padded[0] - size[0]), mode="replicate")
    return planes.contiguous(memory_format=torch.channels_last)


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """Turn (B, 3, H, W) float in [-1, 1] into (B, H, W, 3) uint8."""
    levels = ((images.float() + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
