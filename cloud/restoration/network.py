"""The restorer: a small network that takes a codec's traces out of a side view before it is warped.

What the side view lost, the rebuilt main view loses too: nearly every pixel is taken from there. The paper assumes a
perfect side view; a rig sends JPEG or HEVC.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloud.models.blocks import conv, stack, upsample, zero
from cloud.models.pattern import without_pattern
from cloud.restoration.gauge import GRID, Gauge
from cloud.weights import load_network, save_network
from common.types import RgbImage

NAME = "restorer"
WEIGHTS, FACTS = f"{NAME}.safetensors", f"{NAME}.json"
STRIDE = 4
"""Pictures are padded to a multiple of it."""
SMALLEST = 32
"""To at least so many pixels: the gauge looks at three scales."""
_UNTOUCHED, _WHOLE = 1.3, 2.5
"""Guessed damage (log2 of levels) below which a picture is left alone, and from which on it is corrected in full."""
_WIDTHS = (32, 64)


class Restorer(nn.Module):
    """Two scales, strides 2 and 4, and a correction of the picture.

    ```
    x ─ space-to-depth 2 ─ conv ─ res ×2 ─┬────────────────────────── + ─ res ×3 ─ conv ─ depth-to-space ─ + x
                                          └─ ↓2 ─ · ─ res ×8 ─ ↑2 ────┘
    ```
    About 69 kMAC a pixel, 0.8 M parameters. It is told neither codec nor rate: it sees where in a block of 8x8 each
    pixel stands, and a gauge guesses how large the damage is in the whole picture. The features at stride 4 are scaled
    and shifted by that, and the correction is in units of it: a good picture is hardly touched.
    """

    def __init__(self, widths: tuple[int, int] = _WIDTHS) -> None:
        super().__init__()
        w2, w4 = widths
        places = (GRID // 2) ** 2
        self.enter = nn.Sequential(conv(12 + places, w2), *stack(w2, 2))
        self.down = conv(w2, w4, stride=2)
        self.gauge = Gauge()
        self.tell = nn.Sequential(nn.Linear(1, w4), nn.SiLU(), nn.Linear(w4, 2 * w4))
        self.wide = nn.Sequential(*stack(w4, 8), nn.SiLU(), upsample(w4, w2))
        self.leave = nn.Sequential(*stack(w2, 3), nn.SiLU(), zero(conv(w2, 12)), nn.PixelShuffle(2))

    def forward(self, image: Tensor) -> Tensor:
        """Return restored pictures of (B, 3, H, W) in [0, 1]; the range is kept.

        H and W are multiples of 4, at least 32.
        """
        damage = self.gauge(image)
        x = image * 2 - 1
        h = F.pixel_unshuffle(x, 2)
        h = self.enter(torch.cat([h, _places(h)], 1))
        wide = self.down(h)
        scale, shift = self.tell(damage[:, None])[..., None, None].chunk(2, 1)
        h = h + self.wide(wide * (1 + scale) + shift)
        share = ((damage - _UNTOUCHED) / (_WHOLE - _UNTOUCHED)).clamp(0, 1)
        unit = (share * torch.exp2(damage)).view(-1, 1, 1, 1) / 127.5
        correction = without_pattern(unit * self.leave(h).float(), GRID)
        return ((x + correction) * 0.5 + 0.5).clamp(0, 1)


def _places(half: Tensor) -> Tensor:
    """Return (B, 16, h, w) for pictures at half size (B, C, h, w): 1 where that place of a block of 4x4 is."""
    side = GRID // 2
    count, _, height, width = half.shape
    one = torch.eye(side * side, device=half.device, dtype=half.dtype).view(1, side * side, side, side)
    return one.repeat(count, 1, -(-height // side), -(-width // side))[:, :, :height, :width]


@torch.inference_mode()
def restore(restorer: Restorer, image: RgbImage) -> RgbImage:
    """Return the restored (H, W, 3) uint8 RGB picture; the same bytes for the same picture."""
    height, width = image.shape[:2]
    device = next(restorer.parameters()).device
    planes = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].float() / 255
    rows, columns = (max(SMALLEST, size + -size % STRIDE) for size in (height, width))
    planes = F.pad(planes, (0, columns - width, 0, rows - height), mode="replicate")
    out = restorer(planes.contiguous(memory_format=torch.channels_last))[0, :, :height, :width]
    levels = (out * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())


def save_restorer(restorer: Restorer, folder: Path, facts: dict[str, Any]) -> Path:
    """Write `restorer.safetensors` and, beside it, `restorer.json` with its SHA-256 and `facts`."""
    return save_network(restorer, folder, NAME, facts)


def load_restorer(folder: Path | None = None, device: str | torch.device = "cpu") -> Restorer:
    """Return a trained restorer, in evaluation mode and without gradients for its weights.

    Args:
        folder: where `save_restorer` wrote; None for the one that comes with the package.
        device: where to put it.

    Raises:
        BundleNotFound: a file is missing.
        BundleCorrupt: the weights are not what `restorer.json` says, or not a restorer's.
    """
    restorer = Restorer()
    place = resources.files("cloud.restoration") / "weights" if folder is None else folder
    load_network(restorer, place, NAME, device)
    return restorer.to(memory_format=torch.channels_last)
