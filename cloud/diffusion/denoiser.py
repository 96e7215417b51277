"""The denoiser: a diffusers UNet conditioned on fused features and the warped side view."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from cloud.models.blocks import conv, zero


class Denoiser(nn.Module):
    """Predict the clean latent from a noisy one, given what is known without diffusion.

    Conditions: the coarse latent, the latent of the warped side view (the paper's z_d), and fused features
    at stride 8 (the paper's ẑ_xc). Text enters by cross-attention (z_text): a few learned tokens, and one for each
    object of the vocabulary where the side view's tags are at hand.
    """

    def __init__(
        self,
        latent_channels: int,
        feature_channels: int,
        widths: tuple[int, int],
        text_width: int,
        text_tokens: int,
    ) -> None:
        super().__init__()
        self.reduce = conv(feature_channels + latent_channels, 64)
        self.coarse_head = zero(conv(64, latent_channels))
        self.gate = conv(64, latent_channels)
        self.text = nn.Parameter(torch.randn(text_tokens, text_width) * 0.02)
        make: Any = UNet2DConditionModel  # diffusers is untyped
        self.unet: Any = make(
            in_channels=latent_channels * 3 + 64,
            out_channels=latent_channels,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=("UpBlock2D", "UpBlock2D"),
            block_out_channels=widths,
            layers_per_block=1,
            norm_num_groups=16,
            cross_attention_dim=text_width,
            attention_head_dim=4,
        )
        zero(self.unet.conv_out)

    def condition(self, hidden8: Tensor, warped_latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return (features (B, 64, h, w), coarse latent (B, K, h, w)): the best guess before diffusion."""
        features = F.silu(self.reduce(torch.cat([hidden8, warped_latent.to(hidden8.dtype)], 1)))
        trust = torch.sigmoid(self.gate(features)).float()
        return features, trust * warped_latent + self.coarse_head(features).float()

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        features: Tensor,
        coarse: Tensor,
        warped_latent: Tensor,
        words: Tensor | None = None,
    ) -> Tensor:
        """Return the predicted clean latent (B, K, h, w) float32 for timesteps (B,) int64.

        words: (B, N, text width) tokens of the caption, or None.
        """
        dtype = features.dtype
        stacked = torch.cat([noisy.to(dtype), coarse.to(dtype), warped_latent.to(dtype), features], 1)
        text = self.text[None].expand(len(noisy), -1, -1).to(dtype)
        if words is not None:
            text = torch.cat([text, words.to(dtype)], 1)
        change = self.unet(stacked, timestep, encoder_hidden_states=text, return_dict=False)[0]
        return coarse + change.float()  # type: ignore[no-any-return]
