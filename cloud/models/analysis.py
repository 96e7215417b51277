"""The edge network: image to latents and hyper-latents (its torch twin; the edge runs the exported ONNX)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv, stack


class Analysis(nn.Module):
    """Map an image to latents at stride 16 and hyper-latents at stride 64, for one quality index.

    ```
    x ─ space-to-depth 4 ─ conv ─ res ─ conv ↓2 ─ res ×2 ─ conv ↓2 ─ res ×2 ─ 1×1 ─┬─ × gain[q] ──────── y
                                                                                   └─ conv, ↓2, ↓2 ───── z
    ```
    A shallow transform in place of the paper's SD VAE encoder (97 % of its 70 GMAC); about
    15 kMAC a pixel. Quality enters by a per-channel gain and a bias on the last features only, so one
    network serves all rates.
    """

    def __init__(
        self,
        latent_channels: int,
        hyper_channels: int,
        qualities: int,
        widths: tuple[int, int, int] = (64, 96, 128),
    ) -> None:
        super().__init__()
        w4, w8, w16 = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            conv(48, w4),
            *stack(w4, 1),
            conv(w4, w8, stride=2),
            *stack(w8, 2),
            conv(w8, w16, stride=2),
            *stack(w16, 2),
        )
        self.head = conv(w16, latent_channels, 1)
        # Gains spread from coarse to fine: a step of 1/gain in latent units.
        spread = torch.linspace(-1.8, 1.2, qualities)[:, None]
        self.log_gain = nn.Parameter(spread.repeat(1, latent_channels))
        self.hyper = nn.Sequential(
            conv(latent_channels, 48),
            nn.SiLU(),
            conv(48, 48, stride=2),
            nn.SiLU(),
            conv(48, hyper_channels, stride=2),
        )
        self.hyper_log_gain = nn.Parameter(spread.repeat(1, hyper_channels) * 0.5)

    def transform(self, image: Tensor) -> Tensor:
        """Return ungained latents (B, C, H/16, W/16) of images (B, 3, H, W) float in [0, 1]."""
        return self.head(F.silu(self.body(image * 2 - 1)))  # type: ignore[no-any-return]

    def forward(self, image: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return (y, z), both unrounded, for images (B, 3, H, W) and quality indices (B,) int64.

        H and W must be multiples of 64. y is (B, C, H/16, W/16), z is (B, Z, H/64, W/64).
        """
        return self.scaled(self.transform(image), quality)

    def scaled(self, u: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return (y, z) of ungained latents (B, C, H/16, W/16), for quality indices (B,) int64."""
        gain = self.log_gain[quality].exp()[:, :, None, None]
        hyper_gain = self.hyper_log_gain[quality].exp()[:, :, None, None]
        return u * gain, self.hyper(u) * hyper_gain
