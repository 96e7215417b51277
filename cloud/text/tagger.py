"""The bundled tagger: a small network that says what the side view shows, and where."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloud.models.blocks import conv
from cloud.weights import load_network, save_network
from common.errors import InputError

from .vocabulary import OBJECTS, POSITIONS

ROWS = 128
"""Pictures are resized to so many rows; at the paper's 128x256 nothing is resized."""
STRIDE = 8
OTHER = len(OBJECTS)
"""The class of everything outside the vocabulary."""

_MIN_SIDE = 64
_WIDTHS = (64, 1024)
_GROUPS = 8
NAME = "tagger"
WEIGHTS, FACTS = f"{NAME}.safetensors", f"{NAME}.json"
_ABOUT = {"classes": [*OBJECTS, "other"], "positions": list(POSITIONS)}


class Tagged(NamedTuple):
    """What the tagger says of B pictures.

    Attributes:
        logits: (B, 15, h, w) float32 semantic logits at stride 8 of the picture resized to 128 rows; the last class
            is everything outside the vocabulary.
        presence: (B, 14, 3) float32 in [0, 1]: is each object in the left, centre and right third.
    """

    logits: Tensor
    presence: Tensor


class Tagger(nn.Module):
    """Segment the side view coarsely and read the tags off the segmentation.

    An object's presence in a third comes from two measures of its probability there, the mean (its area fraction) and
    the maximum (its surest cell, which small things need), through slopes and a threshold of its own, fitted after the
    network (`cloud/text/train.py`): from 0.5 on, saying it gave the best F1. Group normalisation: the result of a
    picture depends neither on its batch nor on the mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_layer(5, 24, 2), _layer(24, 32, 2), _Block(32))
        self.fine = nn.Sequential(_layer(32, 64, 2), _Block(64), _Block(64))
        self.wide = nn.Sequential(_layer(64, 96, 2), *[_Wide(96, dilation) for dilation in (1, 2, 4)])
        self.fuse = nn.Sequential(nn.Conv2d(64 + 96, 96, 1), nn.GroupNorm(_GROUPS, 96), nn.ReLU())
        self.head = nn.Conv2d(96, len(OBJECTS) + 1, 1)
        self.mean_slope = nn.Parameter(torch.full((len(OBJECTS), 1), 0.7))
        self.peak_slope = nn.Parameter(torch.full((len(OBJECTS), 1), 0.7))
        self.offset = nn.Parameter(torch.full((len(OBJECTS), 1), 3.5))

    def forward(self, image: Tensor) -> Tagged:
        """Tag pictures (B, 3, H, W) in [0, 1] of any size from 64x64 on.

        Raises:
            InputError: another shape, or a side under 64.
        """
        if image.dim() != 4 or image.shape[1] != 3 or min(image.shape[2:]) < _MIN_SIDE:
            raise InputError(f"the tagger needs (B, 3, H, W) of 64x64 or more, not {tuple(image.shape)}")
        x = resize(image.to(self.offset.dtype))
        fine = self.fine(self.stem(torch.cat([x * 2 - 1, _coordinates(x)], 1)))
        wide = F.interpolate(self.wide(fine), fine.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.head(self.fuse(torch.cat([fine, wide], 1))).float()
        return Tagged(logits, torch.sigmoid(self.presence_logits(logits)))

    def presence_logits(self, logits: Tensor) -> Tensor:
        """Return the logits (B, 14, 3) of presence for semantic logits (B, 15, h, w)."""
        return self.judge(*evidence(logits))

    def judge(self, mean: Tensor, peak: Tensor) -> Tensor:
        """Return the logits (B, 14, 3) of presence for the two measures of `evidence`."""
        return self.mean_slope * mean + self.peak_slope * peak + self.offset


def evidence(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms (B, 14, 3) of mean and greatest probability of each object in each third."""
    chance = torch.softmax(logits, 1)[:, :OTHER]
    pool = third_weights(logits.shape[-1]).to(chance)
    mean = chance.mean(2) @ pool
    inside = pool > 0.5 / logits.shape[-1]  # a cell cut by the border counts for both sides
    peak = (chance.amax(2)[..., None] * inside).amax(2)
    return (mean + 1e-4).log(), (peak + 1e-4).log()


class _Block(nn.Module):
    """x + conv(relu(conv(x))) with normalisation, shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = _layer(channels, channels)
        self.b = nn.Sequential(conv(channels, channels), nn.GroupNorm(_GROUPS, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.b(self.a(x)))


class _Wide(nn.Module):
    """A residual pair of dilated depthwise and pointwise convolutions: sees far at little cost."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation, channels),
            nn.Conv2d(channels, channels, 1),
            nn.GroupNorm(_GROUPS, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, 3, stride), nn.GroupNorm(_GROUPS, outputs), nn.ReLU())


def resize(image: Tensor) -> Tensor:
    """Resize (B, 3, H, W) to 128 rows, aspect kept up to rounding the width to a multiple of 16 (64 to 1024)."""
    height, width = image.shape[-2:]
    columns = min(max(round(width * ROWS / height / 16) * 16, _WIDTHS[0]), _WIDTHS[1])
    if (height, width) == (ROWS, columns):
        return image
    return F.interpolate(image, (ROWS, columns), mode="bilinear", align_corners=False, antialias=True)


def third_weights(width: int) -> Tensor:
    """Return (width, 3): what each of `width` columns adds to the mean over each third; columns sum to 1."""
    edges = torch.arange(width + 1, dtype=torch.float64) * 3 / width
    starts = torch.arange(3, dtype=torch.float64)
    right = torch.minimum(edges[1:, None], starts + 1)
    return (right - torch.maximum(edges[:-1, None], starts)).clamp_min(0).float()


def _coordinates(x: Tensor) -> Tensor:
    """Return (B, 2, H, W): row and column of each pixel in [-1, 1]; what is above is rarely road."""
    ys = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
    xs = torch.linspace(-1, 1, x.shape[3], device=x.device, dtype=x.dtype)
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij")).expand(len(x), -1, -1, -1)


def save_tagger(tagger: Tagger, folder: Path, facts: dict[str, Any]) -> Path:
    """Write `tagger.safetensors` (float16) and, beside it, `tagger.json` with the classes, its SHA-256 and `facts`."""
    return save_network(tagger, folder, NAME, {**_ABOUT, **facts})


def load_tagger(folder: Path | None = None, device: str | torch.device = "cpu") -> Tagger:
    """Return a trained tagger, in evaluation mode and without gradients for its weights.

    Args:
        folder: where `save_tagger` wrote; None for the tagger that comes with the package.
        device: where to put it.

    Raises:
        BundleNotFound: a file is missing.
        BundleCorrupt: the weights are not what `tagger.json` says, or not a tagger's.
    """
    tagger = Tagger()
    place = resources.files("cloud.text") / "weights" if folder is None else folder
    load_network(tagger, place, NAME, device, {"classes": _ABOUT["classes"]})
    return tagger
