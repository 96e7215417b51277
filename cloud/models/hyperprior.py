"""The hyperprior: which Laplace distribution each latent symbol is coded with.

Everything a decoder must repeat bit for bit is integer arithmetic (BITSTREAM.md): integer weights, sums
below 2^24, power-of-two rescaling. Training runs the same integers in float32, with straight-through gradients.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE_COUNT = 64
SCALE_STEP = 0.125  # natural log units between neighbouring scales
SCALE_OFFSET = 3.0  # scale index 0 is exp(-3)
MEAN_UNIT = 16.0  # means are multiples of 1/16
_WEIGHT_UNIT = 64.0


def scale_of(index: Tensor) -> Tensor:
    """Return the Laplace scale b of scale indices (float allowed), any shape."""
    return torch.exp(index * SCALE_STEP - SCALE_OFFSET)


def laplace_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Return -log2 of the probability of the unit bin around `residual` under Laplace(0, scale), elementwise.

    Written per branch so that no probability underflows: outside the central bin the logarithm is linear.
    """
    distance = residual.abs()
    outer = (distance - 0.5).clamp_min(0) / scale - torch.log(0.5 * -torch.expm1(-1 / scale))
    inner_distance = distance.clamp_max(0.5)
    inner = -torch.log(
        (
            1
            - 0.5 * (torch.exp(-(0.5 - inner_distance) / scale) + torch.exp(-(0.5 + inner_distance) / scale))
        ).clamp_min(1e-9)
    )
    return torch.where(distance < 0.5, inner, outer) / math.log(2)


def _straight_through(value: Tensor, rounded: Tensor) -> Tensor:
    return value + (rounded - value).detach()


def _integer(parameter: Tensor, limit: float) -> Tensor:
    scaled = parameter * _WEIGHT_UNIT
    return _straight_through(scaled, scaled.round().clamp(-limit, limit))


def _shift(accumulator: Tensor, bits: int) -> Tensor:
    divided = accumulator / 2**bits
    return _straight_through(divided, torch.floor((accumulator + 2 ** (bits - 1)) / 2**bits))


class HyperDecoder(nn.Module):
    """Map integer hyper-latents (B, Z, h, w) to means (1/16 units) and scale indices at four times the size.

    The normative arithmetic is `common.entropy.hyper`; this module trains its weights.
    """

    def __init__(self, latent_channels: int, hyper_channels: int, qualities: int, hidden: int = 32) -> None:
        super().__init__()
        self.latent_channels = latent_channels

        def weight(outputs: int, inputs: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(outputs, inputs, 3, 3) * (1.0 / math.sqrt(inputs * 9)))

        self.w1, self.b1 = weight(hidden, hyper_channels), nn.Parameter(torch.full((qualities, hidden), 0.5))
        self.w2, self.b2 = weight(hidden * 4, hidden), nn.Parameter(torch.full((hidden * 4,), 0.2))
        self.w3, self.b3 = weight(hidden * 4, hidden), nn.Parameter(torch.full((hidden * 4,), 0.2))
        self.w4 = nn.Parameter(torch.randn(latent_channels * 2, hidden, 3, 3) * 0.02)
        start = torch.zeros(qualities, latent_channels * 2)
        # Symbols grow with the quality's gain: start the scales there, in the accumulator's unit.
        start[:, latent_channels:] = torch.linspace(1.6, 3.6, qualities)[:, None]
        self.b4 = nn.Parameter(start)

    def integers(self) -> dict[str, Tensor]:
        """Return the integer-valued float32 tensors w1 b1 ... w4 b4 that both the training and the bundle use.

        Biases are in units of the accumulator they are added to: 1/64 in layer 1, 1/1024 elsewhere.
        """
        out: dict[str, Tensor] = {}
        for layer in (1, 2, 3, 4):
            out[f"w{layer}"] = _integer(getattr(self, f"w{layer}"), 127)
            bias = getattr(self, f"b{layer}") * (1 if layer == 1 else 16)
            out[f"b{layer}"] = _integer(bias, 2.0**20)
        return out

    def forward(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return (mean, scale_index) of shape (B, C, 4h, 4w): mean in latent units, index float in [0, 63]."""
        # Autocast would run these convolutions in bfloat16, where the integers are no longer exact.
        with torch.autocast(z.device.type, enabled=False):
            return self._run(z.float(), quality)

    def _run(self, z: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        p = self.integers()
        a = _shift(F.conv2d(z, p["w1"], padding=1) + p["b1"][quality][:, :, None, None], 2).clamp(0, 255)
        for layer in (2, 3):
            a = _shift(F.conv2d(a, p[f"w{layer}"], p[f"b{layer}"], padding=1), 6).clamp(0, 255)
            a = F.pixel_shuffle(a, 2)
        acc = F.conv2d(a, p["w4"], padding=1) + p["b4"][quality][:, :, None, None]
        mean, scale = acc[:, : self.latent_channels], acc[:, self.latent_channels :]
        return _shift(mean, 6) / MEAN_UNIT, _shift(scale, 7).clamp(0, SCALE_COUNT - 1)


class Hyperprior(nn.Module):
    """Rate and quantisation of (y, z) in training; the bytes themselves are `common.entropy.latents`."""

    def __init__(self, latent_channels: int, hyper_channels: int, qualities: int) -> None:
        super().__init__()
        self.decoder = HyperDecoder(latent_channels, hyper_channels, qualities)
        self.z_mean = nn.Parameter(torch.zeros(qualities, hyper_channels))
        self.z_log_scale = nn.Parameter(torch.full((qualities, hyper_channels), -0.5))

    def quantise(self, y: Tensor, z: Tensor, quality: Tensor, round_at: Tensor) -> Tensor:
        """Return latents (B, C, h, w) as a bundle's packets bring them.

        round_at (B, 1, 1, 1): the fraction from which on its encoder rounds residuals up.
        """
        mean, _ = self.decoder(z.float().round().clamp(-127, 127), quality)
        residual = y.float() - mean
        rounded: Tensor = mean + residual.sign() * torch.floor(residual.abs() + 1 - round_at)
        return rounded

    def forward(self, y: Tensor, z: Tensor, quality: Tensor, hard: bool) -> tuple[Tensor, Tensor]:
        """Return (y_hat, bits): quantised latents (B, C, h, w) and the modelled bits of each image (B,).

        In training (`hard=False`) the decoder sees straight-through rounding and the rate additive noise.
        """
        y, z = y.float(), z.float()
        z_hat = _straight_through(z, z.round().clamp(-127, 127))
        mean, index = self.decoder(z_hat, quality)
        residual = y - mean
        rounded = residual.round()
        if hard:
            z_rate, y_rate = z_hat, rounded
        else:
            z_rate = z + torch.rand_like(z) - 0.5
            y_rate = residual + torch.rand_like(y) - 0.5
        z_scale = self.z_log_scale[quality].clamp(-4, 5).exp()[:, :, None, None]
        bits = laplace_bits(z_rate - self.z_mean[quality][:, :, None, None], z_scale).sum((1, 2, 3))
        bits = bits + laplace_bits(y_rate, scale_of(index)).sum((1, 2, 3))
        return mean + _straight_through(residual, rounded), bits
