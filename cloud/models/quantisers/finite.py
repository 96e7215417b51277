"""Finite scalar quantisation with conditional tables: a token a pair of channels, its neighbours choose which.

Mentzer et al., Finite scalar quantization: VQ-VAE made simple, ICLR 2024. No codebook is learned: each channel is
bounded and rounded to five levels. The prior is a table for each quality, pair and class of the two neighbours.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloud.models.blocks import conv
from cloud.models.quantisers.vector import Quantised

LEVELS = 5
TOKENS = LEVELS * LEVELS
CLASSES = 3
"""Neighbours are told apart as nothing there, one step from it, more."""
_HALF = (LEVELS - 1) / 2
_SOFTNESS = 0.3
_LOGIT_UNIT = 16.0  # tables move over several nats while weights move by hundredths
_START_DECAY = 1.5


class FiniteTokens(nn.Module):
    """Quantise pairs of channels to one of 25 tokens, and say what they cost under the tables."""

    def __init__(self, latent_channels: int, qualities: int) -> None:
        super().__init__()
        if latent_channels % 2:
            raise ValueError(f"{latent_channels} channels do not divide into pairs")
        self.pairs, self.qualities = latent_channels // 2, qualities
        self.enter = conv(latent_channels, latent_channels, 1)
        self.leave = conv(latent_channels, latent_channels, 1)
        for layer in (self.enter, self.leave):
            nn.init.dirac_(layer.weight)
            nn.init.zeros_(layer.bias if layer.bias is not None else layer.weight[:0])
        size = torch.arange(LEVELS).sub(int(_HALF)).abs().float()
        start = -(size[:, None] + size[None]).flatten() * (_START_DECAY / _LOGIT_UNIT)
        self.table = nn.Parameter(start.repeat(self.pairs, CLASSES**2, 1))
        self.quality = nn.Parameter(torch.zeros(qualities, self.pairs, TOKENS))

    @property
    def nothing(self) -> int:
        """The token whose levels are both zero."""
        return (LEVELS * LEVELS) // 2

    def _bounded(self, y: Tensor) -> Tensor:
        """Return latents (B, C, h, w) bounded to the levels -2 .. 2, of slope one at zero."""
        return _HALF * torch.tanh(self.enter(y) / _HALF)

    def tokens(self, y: Tensor) -> Tensor:
        """Return the tokens (B, P, h, w) int64 of latents (B, C, h, w): five times the first level plus the second."""
        level = (self._bounded(y.float()).round() + _HALF).long()
        return level[:, 0::2] * LEVELS + level[:, 1::2]

    def rebuild(self, tokens: Tensor) -> Tensor:
        """Return the decoder's latents (B, C, h, w) of tokens (B, P, h, w)."""
        levels = torch.stack([torch.div(tokens, LEVELS, rounding_mode="floor"), tokens % LEVELS], 2)
        return self.leave(levels.flatten(1, 2).float() - _HALF)  # type: ignore[no-any-return]

    def logits(self, quality: Tensor) -> Tensor:
        """Return the tables (B, P, 9, 25) of qualities (B,) as logits."""
        return (self.table[None] + self.quality[quality][:, :, None]) * _LOGIT_UNIT

    def forward(self, y: Tensor, quality: Tensor) -> Quantised:
        """Quantise latents (B, C, h, w) of qualities (B,) int64; there is no codebook, so no penalty."""
        with torch.autocast(y.device.type, enabled=False):
            bounded = self._bounded(y.float())
            tokens = self.tokens(y)
            context = contexts(tokens)
            tables = self.logits(quality).log_softmax(-1) / -math.log(2)
            rows = context.flatten(2)[..., None].expand(-1, -1, -1, TOKENS)
            cost = tables.gather(2, rows).reshape(*tokens.shape, TOKENS)
            steps = torch.arange(LEVELS, device=y.device) - _HALF
            near = (-(bounded[..., None] - steps).square() / _SOFTNESS).softmax(-1)
            soft = (near[:, 0::2, ..., :, None] * near[:, 1::2, ..., None, :]).flatten(-2)
            choice = F.one_hot(tokens, TOKENS).to(soft.dtype) + soft - soft.detach()
            bits = (choice * cost).sum((1, 2, 3, 4))
            straight = bounded + (bounded.round() - bounded).detach()
            return Quantised(self.leave(straight), bits, bits.new_zeros(()))


def classes(tokens: Tensor) -> Tensor:
    """Return the class (0, 1, 2) of each token: both levels zero, one step away in all, further."""
    first = (torch.div(tokens, LEVELS, rounding_mode="floor") - int(_HALF)).abs()
    second = (tokens % LEVELS - int(_HALF)).abs()
    return (first + second).clamp_max(CLASSES - 1)


def contexts(tokens: Tensor) -> Tensor:
    """Return which table (0 .. 8) each of the tokens (B, P, h, w) is coded with: the classes to its left and above.

    Outside the picture counts as nothing there.
    """
    kind = classes(tokens)
    left = F.pad(kind, (1, 0))[..., :-1]
    above = F.pad(kind, (0, 0, 1, 0))[..., :-1, :]
    return left * CLASSES + above


__all__ = ["CLASSES", "LEVELS", "TOKENS", "FiniteTokens", "classes", "contexts"]
