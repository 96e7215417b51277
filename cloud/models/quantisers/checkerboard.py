"""Scalar latents with the integer hyperprior and a checkerboard context: half the symbols help to predict the rest.

He et al., Checkerboard context model for efficient learned image compression, CVPR 2021. Latents at even positions
(anchors) are coded with the hyperprior alone, the others with mean and scale corrected by what the decoded anchors say.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cloud.models.blocks import conv, zero
from cloud.models.hyperprior import MEAN_UNIT, SCALE_COUNT, Hyperprior, laplace_bits, scale_of

_INDEX_UNIT = 8.0


def anchors(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Return (height, width) bool, True where row + column is even."""
    rows = torch.arange(height, device=device)[:, None]
    return (rows + torch.arange(width, device=device)) % 2 == 0


def _rounded(value: Tensor) -> Tensor:
    """Return the value rounded, with the gradient of no rounding."""
    return value + (value.round() - value).detach()


class CheckerboardHyperprior(Hyperprior):
    """The hyperprior, and a context network that starts as 'no change'."""

    def __init__(self, latent_channels: int, hyper_channels: int, qualities: int, width: int = 64) -> None:
        super().__init__(latent_channels, hyper_channels, qualities)
        self.context = conv(latent_channels * 3, width, 5)
        self.correct = zero(conv(width, latent_channels * 2, 1))

    def refine(self, known: Tensor, mean: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (multiples of 1/16) and whole scale index, corrected where there is no anchor; (B, C, h, w).

        Args:
            known: the anchors' decoded latents, zero elsewhere.
            mean: the hyper decoder's means.
            index: its scale indices.
        """
        with torch.autocast(known.device.type, enabled=False):
            stacked = torch.cat([known, mean, index / _INDEX_UNIT], 1)
            change = self.correct(F.silu(self.context(stacked)))
            shift, sharper = change.chunk(2, 1)
            open_ = (~anchors(known.shape[2], known.shape[3], known.device)).to(known.dtype)
            mean = mean + open_ * _rounded(shift * MEAN_UNIT) / MEAN_UNIT
            index = index + open_ * _rounded(sharper * _INDEX_UNIT)
            return mean, index.clamp(0, SCALE_COUNT - 1)

    def forward(self, y: Tensor, z: Tensor, quality: Tensor, hard: bool) -> tuple[Tensor, Tensor]:
        """Return (y_hat, bits) as `Hyperprior` does."""
        y, z = y.float(), z.float()
        z_hat = z + (z.round().clamp(-127, 127) - z).detach()
        first_mean, first_index = self.decoder(z_hat, quality)
        even = anchors(y.shape[2], y.shape[3], y.device).to(y.dtype)
        known = (first_mean + _rounded(y - first_mean)) * even
        mean, index = self.refine(known, first_mean, first_index)
        residual = y - mean
        if hard:
            z_rate, y_rate = z_hat, residual.round()
        else:
            z_rate = z + torch.rand_like(z) - 0.5
            y_rate = residual + torch.rand_like(y) - 0.5
        z_scale = self.z_log_scale[quality].clamp(-4, 5).exp()[:, :, None, None]
        bits = laplace_bits(z_rate - self.z_mean[quality][:, :, None, None], z_scale).sum((1, 2, 3))
        bits = bits + laplace_bits(y_rate, scale_of(index)).sum((1, 2, 3))
        return mean + _rounded(residual), bits


__all__ = ["CheckerboardHyperprior", "anchors"]
