"""The whole graph: analysis, hyperprior, geometry core, diffusion, pixel decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cloud.diffusion.denoiser import Denoiser
from cloud.diffusion.latent import BlockLatent
from cloud.diffusion.sampler import START_TIMESTEP, sample

from .analysis import Analysis
from .geometry import Geometry, GeometryCore, SideFeatures
from .hyperprior import Hyperprior
from .pixels import Blend, PixelDecoder


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the networks; stored in the bundle's manifest under [model]."""

    latent_channels: int = 32
    hyper_channels: int = 8
    qualities: int = 8
    diffusion_channels: int = 32
    diffusion_width: int = 96
    text_width: int = 64
    text_tokens: int = 4
    threshold: float = 0.2  # θ of the paper (supplement, Fig. 16)
    steps: int = 1


class Decoded(NamedTuple):
    """What decoding yields: the blend, the geometry and the clean and coarse latents."""

    blend: Blend
    geometry: Geometry
    clean: Tensor
    coarse: Tensor
    features: Tensor
    warped_latent: Tensor


class Codec(nn.Module):
    """Distributed stereo codec: the encoder sees the main view alone, the decoder has the side view too.

    ```
    main x ─ analysis ─ (y, z) ─ hyperprior ─ ŷ ─┐
                                                 ├─ geometry core ─ warp, features ─ diffusion ─ pixel decoder ─ x̂
    side y ─ side features ──────────────────────┘
    ```
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config.latent_channels, config.hyper_channels, config.qualities)
        self.hyperprior = Hyperprior(config.latent_channels, config.hyper_channels, config.qualities)
        # The decoder's own inverse gains: not tied to the encoder's, so that they can shrink uncertain symbols.
        self.inverse_log_gain = nn.Parameter(-self.analysis.log_gain.detach().clone())
        self.side = SideFeatures(config.latent_channels)
        self.geometry = GeometryCore(config.latent_channels, config.qualities)
        self.latent = BlockLatent(config.diffusion_channels)
        self.denoiser = Denoiser(
            config.diffusion_channels,
            96,
            (config.diffusion_width, config.diffusion_width + 32),
            config.text_width,
            config.text_tokens,
        )
        self.pixels = PixelDecoder()

    def decode(
        self,
        y_hat: Tensor,
        quality: Tensor,
        side: Tensor,
        present: Tensor,
        noise: Tensor,
        steps: int,
        threshold: float | None = None,
    ) -> Decoded:
        """Rebuild the main view.

        Args:
            y_hat: (B, C, H/16, W/16) quantised latents in the coder's units.
            quality: (B,) int64.
            side: (B, 3, H, W) in [0, 1]; any value where absent.
            present: (B,) float, 1 where there is a side view.
            noise: (B, K, H/8, W/8) standard normal.
            steps: denoising steps.
            threshold: the mask's cut; the config's θ if None.
        """
        present = present[:, None, None, None].float()
        image = (side * 2 - 1) * present
        latents = y_hat * self.inverse_log_gain[quality].exp()[:, :, None, None]
        features = self.side(image, self.analysis.transform((image + 1) / 2), present)
        geometry = self.geometry(latents, quality, image, features, present)
        warped_latent = self.latent.encode(geometry.warped) * present
        condition, coarse = self.denoiser.condition(geometry.hidden8, warped_latent)

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return self.denoiser(noisy, timestep, condition, coarse, warped_latent)  # type: ignore[no-any-return]

        if steps == 1 and torch.is_grad_enabled():
            # The training path: one step from the start of the short schedule.
            clean = sample(predict, coarse, noise, 1)
        else:
            clean = sample(predict, coarse, noise, steps)
        painted = self.latent.decode(clean)
        cut = self.config.threshold if threshold is None else threshold
        blend = self.pixels(geometry.hidden4, geometry.warped, painted, present, cut)
        return Decoded(blend, geometry, clean, coarse, condition, warped_latent)

    def forward(
        self, main: Tensor, side: Tensor, present: Tensor, quality: Tensor, noise: Tensor, hard: bool = False
    ) -> tuple[Decoded, Tensor]:
        """Code and rebuild main views (B, 3, H, W) in [0, 1]; return (decoded, bits (B,)) for training."""
        y, z = self.analysis(main, quality)
        y_hat, bits = self.hyperprior(y, z, quality, hard)
        return self.decode(y_hat, quality, side, present, noise, 1, threshold=0.0), bits


__all__ = ["START_TIMESTEP", "Codec", "Decoded", "ModelConfig"]
