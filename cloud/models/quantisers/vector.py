"""The paper's quantiser: vectors of the latent replaced by the nearest of a cosine codebook, predicted causally."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloud.models.blocks import conv
from cloud.models.quantisers.causal import CausalPrior

GROUPS = 4
CODES = 256
_SHARPNESS = 12.0
_COMMITMENT = 0.25


class Quantised(NamedTuple):
    """y_hat (B, C, h, w) in the analysis's units; bits (B,) of the tokens; penalty: the codebook's part of the loss."""

    y_hat: Tensor
    bits: Tensor
    penalty: Tensor


class VectorTokens(nn.Module):
    """Quantise each position's latent in groups of channels by direction; the lowest qualities send fewer groups.

    The reference's rate term does not reach the encoder, because an index has no gradient. Here the forward pass
    counts the token that is sent, and the backward pass the expected bits under a soft assignment.
    """

    ready: Tensor

    def __init__(
        self, latent_channels: int, qualities: int, groups: int = GROUPS, codes: int = CODES
    ) -> None:
        super().__init__()
        if latent_channels % groups or latent_channels < 2 * groups:  # one channel alone has no direction
            raise ValueError(f"{latent_channels} channels do not divide into {groups} groups of two or more")
        self.groups, self.codes, self.qualities = groups, codes, qualities
        self.enter = conv(latent_channels, latent_channels, 1)
        self.leave = conv(latent_channels, latent_channels, 1)
        for layer in (self.enter, self.leave):
            nn.init.dirac_(layer.weight)
            nn.init.zeros_(layer.bias if layer.bias is not None else layer.weight[:0])
        self.codebook = nn.Parameter(
            F.normalize(torch.randn(groups, codes, latent_channels // groups), dim=-1)
        )
        # Directions have no size: what the latents' units are at each quality is learned beside them.
        self.log_gain = nn.Parameter(torch.linspace(-1.8, 1.2, qualities)[:, None].repeat(1, latent_channels))
        self.prior = CausalPrior(groups, codes, qualities)
        self.register_buffer("ready", torch.zeros(()))

    def sent(self, quality: Tensor) -> Tensor:
        """Return (B, G) bool: which groups a quality sends, from one at the lowest to all at the highest."""
        count = torch.div(quality * self.groups, self.qualities, rounding_mode="floor") + 1
        return torch.arange(self.groups, device=quality.device)[None] < count[:, None]

    def _directions(self, y: Tensor) -> Tensor:
        """Return unit vectors (B, G, h, w, C/G) of latents (B, C, h, w)."""
        grouped = self.enter(y).unflatten(1, (self.groups, -1)).movedim(2, -1)
        return F.normalize(grouped, dim=-1, eps=1e-6)

    @torch.no_grad()
    def _fill(self, vectors: Tensor) -> None:
        """Take the first batch's own vectors for codebook: codes that nothing is near would never be chosen."""
        for group in range(self.groups):
            found = vectors[:, group].flatten(0, 2)
            chosen = found[torch.randint(0, len(found), (self.codes,), device=found.device)]
            noisy = chosen + 0.05 * torch.randn_like(chosen)
            self.codebook[group].copy_(F.normalize(noisy, dim=-1))
        self.ready.fill_(1)

    def _similarity(self, vectors: Tensor) -> Tensor:
        return torch.einsum("bghwd,gkd->bghwk", vectors, F.normalize(self.codebook, dim=-1))

    def _picked(self, tokens: Tensor) -> Tensor:
        """Return the code (B, G, h, w, C/G) of each token."""
        codes = F.normalize(self.codebook, dim=-1)
        pairs = zip(codes, tokens.clamp_min(0).unbind(1), strict=True)
        return torch.stack([part[index] for part, index in pairs], 1)

    def _units(self, vectors: Tensor, quality: Tensor) -> Tensor:
        y = self.leave(vectors.movedim(-1, 2).flatten(1, 2))
        return y * self.log_gain[quality].exp()[:, :, None, None]  # type: ignore[no-any-return]

    def tokens(self, y: Tensor, quality: Tensor) -> Tensor:
        """Return the tokens (B, G, h, w) int64 of latents (B, C, h, w), -1 where a group is not sent."""
        found = self._similarity(self._directions(y.float())).argmax(-1)
        return torch.where(self.sent(quality)[:, :, None, None], found, -1)

    def rebuild(self, tokens: Tensor, quality: Tensor) -> Tensor:
        """Return the decoder's latents (B, C, h, w) of tokens (B, G, h, w)."""
        return self._units(self._picked(tokens) * (tokens >= 0)[..., None], quality)

    def forward(self, y: Tensor, quality: Tensor) -> Quantised:
        """Quantise latents (B, C, h, w) of qualities (B,) int64."""
        with torch.autocast(y.device.type, enabled=False):
            vectors = self._directions(y.float())
            if self.training and not bool(self.ready):
                self._fill(vectors.detach())
            similarity = self._similarity(vectors)
            sent = self.sent(quality)[:, :, None, None]
            tokens = torch.where(sent, similarity.argmax(-1), -1)
            code = self._picked(tokens)
            here = sent[..., None].to(code.dtype)
            straight = (vectors + (code - vectors).detach()) * here
            distance = (vectors.detach() - code).square() + _COMMITMENT * (vectors - code.detach()).square()
            penalty = (distance * here).sum() / (here.sum() * straight[0, 0].numel()).clamp_min(1)
            soft = (similarity * _SHARPNESS).softmax(-1)
            hard = F.one_hot(tokens.clamp_min(0), self.codes).to(soft.dtype)
            choice = hard + soft - soft.detach()
            cost = -self.prior(tokens, quality).log_softmax(-1) / math.log(2)
            bits = ((choice * cost).sum(-1) * sent).sum((1, 2, 3))
            return Quantised(self._units(straight, quality), bits, penalty)


__all__ = ["CODES", "GROUPS", "Quantised", "VectorTokens"]
