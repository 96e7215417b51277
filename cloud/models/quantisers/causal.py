"""A small causal Transformer over token indices: the paper's entropy model, token by token in raster order."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    """Causal self-attention and an MLP, both after a normalisation; over a whole sequence or one step at a time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, width * 3), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, width * 2), nn.SiLU(), nn.Linear(width * 2, width))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = self.project(self.before(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return q, k, v

    def _finish(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.join(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.between(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, D) of (B, N, D); position n sees positions 0 to n."""
        q, k, v = self._split(x)
        return self._finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def step(self, x: Tensor, cache: list[Tensor]) -> Tensor:
        """Return (B, 1, D) of the next position (B, 1, D); `cache` keeps the keys and values before it."""
        q, k, v = self._split(x)
        if cache:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        cache[:] = [k, v]
        return self._finish(x, F.scaled_dot_product_attention(q, k, v))


def _waves(position: Tensor, width: int) -> Tensor:
    """Return the sinusoids (N, width) of positions (N,)."""
    rates = torch.exp(
        torch.arange(width // 2, device=position.device) * (-math.log(1000.0) / max(1, width // 2))
    )
    angles = position.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class CausalPrior(nn.Module):
    """Predict the tokens of G groups at each position from those before it.

    A position's input holds the tokens to its left and above; attention reaches everything earlier; the groups of one
    position follow one another.
    """

    def __init__(
        self, groups: int, tokens: int, qualities: int, width: int = 96, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        self.groups, self.width = groups, width
        self.left = nn.Parameter(torch.randn(groups, tokens, width) * 0.1)
        self.above = nn.Parameter(torch.randn(groups, tokens, width) * 0.1)
        self.before = nn.Parameter(torch.randn(groups, tokens, width) * 0.1)
        self.quality = nn.Parameter(torch.zeros(qualities, width))
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.Parameter(torch.randn(groups, tokens, width) * 0.01)
        self.bias = nn.Parameter(torch.zeros(groups, tokens))

    def _embedded(self, table: Tensor, tokens: Tensor) -> Tensor:
        """Return (B, G, ..., D) of tokens (B, G, ...); -1 (not sent) gives zeros."""
        rows = torch.stack(
            [part[index] for part, index in zip(table, tokens.clamp_min(0).unbind(1), strict=True)], 1
        )
        return rows * (tokens >= 0)[..., None]

    def _places(self, height: int, width: int, device: torch.device) -> Tensor:
        rows = torch.arange(height, device=device).repeat_interleave(width)
        columns = torch.arange(width, device=device).repeat(height)
        half = self.width // 2
        return torch.cat([_waves(rows, half), _waves(columns, half)], 1)

    def _logits(self, hidden: Tensor, group: int) -> Tensor:
        return F.silu(self.norm(hidden)) @ self.heads[group].T + self.bias[group]

    def forward(self, tokens: Tensor, quality: Tensor) -> Tensor:
        """Return logits (B, G, h, w, K) of tokens (B, G, h, w) int64, each from what is decoded before it.

        quality: (B,) int64. Tokens of -1 are not sent.
        """
        batch, _, height, width = tokens.shape
        with torch.autocast(tokens.device.type, enabled=False):
            left = F.pad(self._embedded(self.left, tokens).sum(1), (0, 0, 1, 0))[:, :, :-1]
            above = F.pad(self._embedded(self.above, tokens).sum(1), (0, 0, 0, 0, 1, 0))[:, :-1]
            x = (left + above).reshape(batch, height * width, -1)
            x = x + self._places(height, width, tokens.device) + self.quality[quality][:, None]
            for block in self.blocks:
                x = block(x)
            before = self._embedded(self.before, tokens)
            before = (before.cumsum(1) - before).reshape(batch, self.groups, height * width, -1)
            logits = torch.stack([self._logits(x + before[:, g], g) for g in range(self.groups)], 1)
            return logits.reshape(*tokens.shape, -1)


class CausalState:
    """Walk over one picture's positions in raster order; encoder and decoder take the very same steps."""

    def __init__(self, prior: CausalPrior, height: int, width: int, quality: int) -> None:
        """Begin before the first position of a (height, width) grid."""
        self._prior, self._size = prior, (height, width)
        device = prior.bias.device
        self._start = prior._places(height, width, device) + prior.quality[quality]
        self._caches: list[list[Tensor]] = [[] for _ in prior.blocks]
        self._tokens = torch.full((1, prior.groups, height, width), -1, dtype=torch.int64, device=device)
        self._hidden = torch.zeros(1)

    @torch.no_grad()
    def enter(self, position: int) -> None:
        """Go to the next position; its tokens are asked for with `probabilities` and told with `tell`."""
        prior, (row, column) = self._prior, divmod(position, self._size[1])
        x = self._start[position][None, None]
        if column:
            x = x + prior._embedded(prior.left, self._tokens[:, :, row, column - 1]).sum(1)[:, None]
        if row:
            x = x + prior._embedded(prior.above, self._tokens[:, :, row - 1, column]).sum(1)[:, None]
        for block, cache in zip(prior.blocks, self._caches, strict=True):
            x = block.step(x, cache)  # type: ignore[operator]
        self._hidden = x[0, 0]

    @torch.no_grad()
    def probabilities(self, group: int) -> Tensor:
        """Return (K,) float64, how likely each token of `group` is at the present position."""
        return self._prior._logits(self._hidden, group).double().softmax(-1)

    @torch.no_grad()
    def tell(self, position: int, group: int, token: int) -> None:
        """Say which token of `group` the present position has."""
        row, column = divmod(position, self._size[1])
        self._tokens[0, group, row, column] = token
        self._hidden = self._hidden + self._prior.before[group, token]


__all__ = ["CausalPrior", "CausalState"]
