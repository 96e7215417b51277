"""The whole graph: analysis, hyperprior, geometry core, diffusion, pixel decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloud.diffusion.denoiser import Denoiser
from cloud.diffusion.latent import BlockLatent
from cloud.diffusion.sampler import START_TIMESTEP, sample
from cloud.text.embed import TagEmbedding
from cloud.text.masked_object import MaskedObjectPredictor
from cloud.text.vocabulary import OBJECTS, POSITIONS

from .analysis import Analysis
from .blocks import conv
from .geometry import Geometry, GeometryCore, SideFeatures
from .hyperprior import Hyperprior
from .pixels import Blend, PixelDecoder
from .quantisers.checkerboard import CheckerboardHyperprior
from .quantisers.finite import FiniteTokens
from .quantisers.vector import VectorTokens


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
    # What can be taken out and trained without (benchmarks/ablation): each is a piece of the method. A bundle that
    # does not name one was made without it.
    feedback: bool = False  # analysis by synthesis in geometry and appearance
    search: bool = False  # disparities tried with the edge's own transform
    mask: bool = True  # m_v; without it the warp is trusted everywhere
    text: bool = False  # z_text from the side view's tags
    text_supervision: bool = (
        False  # the mask must keep what is needed to name a hidden object (training only)
    )
    skips: bool = (
        True  # the full-resolution warp in the pixel decoder; without, the picture is the latent's alone
    )
    warp: bool = (
        True  # the side view moved by disparity; without, its latent enters in place, as in the paper
    )
    kernel: str = "bicubic"  # of the last, full-resolution warp; or "lanczos"
    sweep: bool = False  # every disparity tried with the edge's own transform: near things
    upright: bool = False  # one disparity along vertical edges, before that warp
    attention: str = "row"  # matching at strides 16 and 8: along rows, or "global" over all positions
    start: str = "coarse"  # diffusion from the coarse latent plus noise, or from pure "noise"
    entropy: str = (
        "hyperprior"  # or "checkerboard", "vq", "fsq": compared in training, no bundle can hold them
    )

    def __post_init__(self) -> None:
        """Check the switches.

        Raises:
            ValueError: an unknown choice, pixel skips of a warp that is not there, or a sweep whose prior nobody asks.
        """
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        if self.skips and not self.warp:
            raise ValueError("skips need the warp: without it the side view is not aligned with the picture")
        if self.sweep and self.attention != "row":
            raise ValueError("sweep needs matching along rows: what it finds is where that begins to look")


_CHOICES = {
    "kernel": ("bicubic", "lanczos"),
    "attention": ("row", "global"),
    "start": ("coarse", "noise"),
    "entropy": ("hyperprior", "checkerboard", "vq", "fsq"),
}


class Decoded(NamedTuple):
    """What decoding yields: the blend, the geometry and the clean and coarse latents.

    penalty (training only): what the codebook of a vector quantiser adds to the loss. y_hat: what was decoded.
    """

    blend: Blend
    geometry: Geometry
    clean: Tensor
    coarse: Tensor
    features: Tensor
    warped_latent: Tensor
    side8: Tensor
    words: Tensor | None
    penalty: Tensor | None = None
    y_hat: Tensor | None = None

    def replaced(self, part: Decoded, rows: Tensor) -> Decoded:
        """Return this with what is shown of it taken from `part` in the rows (B,) that are true."""
        blend = [a.clone() for a in self.blend]
        for kept, new in zip(blend, part.blend, strict=True):
            kept[rows] = new
        disparity, warped = self.geometry.disparity.clone(), self.geometry.warped.clone()
        disparity[rows], warped[rows] = part.geometry.disparity, part.geometry.warped
        geometry = self.geometry._replace(disparity=disparity, warped=warped)
        return self._replace(blend=Blend(*blend), geometry=geometry)


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
        sizes = (config.latent_channels, config.hyper_channels, config.qualities)
        if config.entropy == "hyperprior":
            self.hyperprior = Hyperprior(*sizes)
        elif config.entropy == "checkerboard":
            self.hyperprior = CheckerboardHyperprior(*sizes)
        else:
            kind = VectorTokens if config.entropy == "vq" else FiniteTokens
            self.tokens = kind(config.latent_channels, config.qualities)
        # The decoder's own inverse gains: not tied to the encoder's, so that they can shrink uncertain symbols.
        self.inverse_log_gain = nn.Parameter(-self.analysis.log_gain.detach().clone())
        self.side = SideFeatures(config.latent_channels)
        self.geometry = GeometryCore(
            config.latent_channels,
            config.qualities,
            config.feedback,
            config.search,
            global_attention=config.attention == "global",
            warps=config.warp,
            kernel=config.kernel,
            upright=config.upright,
            sweep=config.sweep,
        )
        self.latent = BlockLatent(config.diffusion_channels)
        self.denoiser = Denoiser(
            config.diffusion_channels,
            96,
            (config.diffusion_width, config.diffusion_width + 32),
            config.text_width,
            config.text_tokens,
        )
        if config.text or config.text_supervision:
            self.words = TagEmbedding(config.text_width)
        if config.text_supervision:
            self.masked_object = MaskedObjectPredictor(96, config.text_width)
        self.pixels = PixelDecoder(config.latent_channels, config.feedback, config.mask)
        if config.mask and not config.skips:
            self.latent_mask = conv(96, 1)

    def decode(
        self,
        y_hat: Tensor,
        quality: Tensor,
        side: Tensor,
        present: Tensor,
        noise: Tensor,
        steps: int,
        threshold: float | None = None,
        tags: Tensor | None = None,
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
            tags: (B, 14, 3) in [0, 1], what stands where in the side view (cloud.text); zeros if None.
        """
        present = present[:, None, None, None].float()
        image = (side * 2 - 1) * present
        latents = y_hat * self.inverse_log_gain[quality].exp()[:, :, None, None]
        gain = self.analysis.log_gain[quality].exp()[:, :, None, None]
        features = self.side(image, self.analysis.transform((image + 1) / 2), present)
        geometry = self.geometry(
            latents, quality, image, features, present, self.analysis.transform, y_hat, gain
        )
        warped_latent = self.latent.encode(geometry.warped) * present
        cut = self.config.threshold if threshold is None else threshold
        gate = None if self.config.skips else self._gate(geometry.hidden8, present, cut)
        if gate is not None:
            warped_latent = warped_latent * gate
        condition, coarse = self.denoiser.condition(geometry.hidden8, warped_latent)

        words = self.embed(tags, len(y_hat))
        text = words if self.config.text else None  # text supervision alone keeps it from the denoiser

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return self.denoiser(noisy, timestep, condition, coarse, warped_latent, text)  # type: ignore[no-any-return]

        if steps == 1 and torch.is_grad_enabled():
            # The training path: one step from the start of the short schedule.
            clean = sample(predict, coarse, noise, 1, self.config.start)
        else:
            clean = sample(predict, coarse, noise, steps, self.config.start)
        painted = self.latent.decode(clean)
        hidden4, warped, near = geometry.hidden4, geometry.warped, present
        if gate is not None:  # nothing of the side view passes the latent by
            hidden4, warped, near = (torch.zeros_like(part) for part in (hidden4, warped, near))
        blend = self.pixels(hidden4, warped, painted, near, cut, latents, self.analysis.transform)
        if gate is not None:
            blend = blend._replace(mask=F.interpolate(gate, scale_factor=8.0, mode="nearest"))
        return Decoded(
            blend, geometry, clean, coarse, condition, warped_latent, features[1], words, None, y_hat
        )

    def _gate(self, hidden8: Tensor, present: Tensor, threshold: float) -> Tensor:
        """Return m_v (B, 1, H/8, W/8) on the latents' grid, where the paper has it (z_d = ... F(m_v))."""
        if not self.config.mask:
            return present.expand(-1, 1, *hidden8.shape[-2:])
        mask = torch.sigmoid(self.latent_mask(hidden8).float() + 1) * present
        return torch.where(mask < threshold, torch.zeros_like(mask), mask)

    def embed(self, tags: Tensor | None, batch: int) -> Tensor | None:
        """Return text tokens (B, 14, text width) of tags (B, 14, 3); None where the model takes no text."""
        if not (self.config.text or self.config.text_supervision):
            return None
        if tags is None:
            tags = self.inverse_log_gain.new_zeros(batch, len(OBJECTS), len(POSITIONS))
        return self.words(tags)  # type: ignore[no-any-return]

    def forward(
        self,
        main: Tensor,
        side: Tensor,
        present: Tensor,
        quality: Tensor,
        noise: Tensor,
        hard: bool = False,
        tags: Tensor | None = None,
    ) -> tuple[Decoded, Tensor]:
        """Code and rebuild main views (B, 3, H, W) in [0, 1]; return (decoded, bits (B,)) for training."""
        y, z = self.analysis(main, quality)
        penalty = None
        if self.config.entropy in ("vq", "fsq"):
            y_hat, bits, penalty = self.tokens(y, quality)
        else:
            y_hat, bits = self.hyperprior(y, z, quality, hard)
        decoded = self.decode(y_hat, quality, side, present, noise, 1, threshold=0.0, tags=tags)
        return decoded._replace(penalty=penalty), bits


__all__ = ["START_TIMESTEP", "Codec", "Decoded", "ModelConfig"]
