"""Convolutional building blocks shared by every network of the codec."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with 'same' padding for odd kernels."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Set a layer's weight and bias to zero: a head that starts as 'no change'."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """x + conv(silu(conv(silu(x)))), shape (B, C, H, W) kept; no normalisation, so it works at any size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = conv(channels, channels)
        self.b = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of x's shape."""
        return x + self.b(F.silu(self.a(F.silu(x))))  # type: ignore[no-any-return]


def stack(channels: int, count: int) -> nn.Sequential:
    """Return `count` residual blocks in a row."""
    return nn.Sequential(*[Residual(channels) for _ in range(count)])


def upsample(inputs: int, outputs: int) -> nn.Sequential:
    """Return a sub-pixel convolution that doubles height and width."""
    return nn.Sequential(conv(inputs, outputs * 4), nn.PixelShuffle(2))
