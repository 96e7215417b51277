"""What training minimises: rate, geometry, the picture before the refiner and the picture shown."""

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cloud.diffusion.sampler import START_TIMESTEP, TRAIN_TIMESTEPS, make_scheduler
from cloud.models.codec import Codec, Decoded
from cloud.models.warping import warp
from cloud.text.masked_object import choose_masked, masked_object_loss

from .batches import Batch
from .config import TrainConfig
from .critic import Adversary
from .finish import Finished, Teller
from .losses import AlexDistance, disparity_loss, looks, smoothness
from .precision import mixed

LEVEL_WEIGHTS = (0.3, 0.3, 0.4, 0.6, 0.5)
"""Of the geometry core's levels, coarse to fine; the last one's holds for all after it."""
LATER_EVERY = 4
"""Steps between two passes of the denoiser at later noise levels: they cost a tenth of a step each."""


class Objective:
    """Holds the loss networks and the weights of every term; a call gives the losses of one batch."""

    def __init__(
        self,
        config: TrainConfig,
        model: Codec,
        perceptual: AlexDistance,
        device: torch.device,
        teller: Teller | None = None,
    ) -> None:
        """Take the model to be judged, on its device; `teller`: what tells its refiner, where it has one."""
        self.config, self.model, self.device, self.teller = config, model, device, teller
        self.perceptual = perceptual.to(device)
        self.adversary = Adversary(device) if config.weight_critic else None
        self.places = random.Random(config.seed)
        self.scheduler: Any = make_scheduler()
        drawn = config.quality_weights or (1.0,) * config.model.qualities
        self.quality_weights = torch.tensor(drawn, device=device)

    def __call__(self, given: Batch, step: int, progress: float) -> dict[str, Tensor]:
        """Return the losses of a batch; "total" is what is minimised.

        Args:
            given: the batch, on the device.
            step: of the training.
            progress: how much of the schedule is over, 0 to 1.
        """
        config, model = self.config, self.model
        main, side, disparity, present, tags, _ = given
        batch, _, height, width = main.shape
        quality = self._qualities(batch)
        noise = torch.randn(
            batch, config.model.diffusion_channels, height // 8, width // 8, device=self.device
        )
        latents = self._latents(quality)
        with mixed(self.device):
            if config.decoder_only:
                y_hat, bits = self._sent(main, latents)
                decoded = model.decode(y_hat, latents, side, present, noise, 1, threshold=0.0, tags=tags)
            else:
                decoded, bits = model(main, side, present, latents, noise, tags=tags)
            target = model.latent.encode(main * 2 - 1)
            every = LATER_EVERY if config.model.start == "coarse" else 1
            again = self._later_step(decoded, target) if step % every == 0 else None
            named = self._name_objects(decoded, tags)
        base = (decoded.blend.image.float() + 1) / 2
        image = self._refined(decoded, main, quality) if self.teller is not None else base
        warped = (decoded.geometry.warped + 1) / 2
        generated = (decoded.blend.generated.float() + 1) / 2
        bpp = bits / (height * width)
        here = present[:, None, None, None]
        rate_weight = torch.tensor(config.lambdas, device=self.device)[latents]
        teacher = torch.where(here > 0, disparity, torch.full_like(disparity, -1.0))
        geometry = disparity_loss(decoded.geometry.disparity, teacher)
        for index, level in enumerate(decoded.geometry.levels):
            geometry = geometry + LEVEL_WEIGHTS[min(index, len(LEVEL_WEIGHTS) - 1)] * disparity_loss(
                level, teacher
            )
        parts = {
            "bpp": bpp.mean(),
            "rate": (rate_weight * bpp).mean(),
            "text": named,
            "warp": ((warped - main).abs().clamp(max=0.3) * here).mean(),
            # Judged everywhere, not only where the mask lets it show: else the mask never learns to let go.
            "generated": (generated - main).abs().mean(),
            "geometry": geometry,
            "smooth": (smoothness(decoded.geometry.disparity, main) * 1.0),
            "coarse": (decoded.coarse - target).abs().mean(),
            "latent": (decoded.clean - target).abs().mean(),
            "later": (again - target).abs().mean() if again is not None else decoded.clean.new_zeros(()),
            "mask": decoded.blend.mask.mean(),
            "codebook": decoded.penalty if decoded.penalty is not None else bits.new_zeros(()),
        }
        total = (
            parts["rate"]
            + config.weight_text * parts["text"]
            + config.weight_codebook * parts["codebook"]
            + config.weight_warp * parts["warp"]
            + config.weight_generated * parts["generated"]
            + config.weight_geometry * parts["geometry"]
            + config.weight_smooth * parts["smooth"]
            + config.weight_latent * (parts["coarse"] + parts["latent"] + parts["later"])
        )
        if self.teller is not None:
            plain = config.weight_l1 * (base - main).abs().mean()
            parts["base"] = plain + config.weight_mse * (base - main).square().mean()
            total = total + config.weight_base * parts["base"]
        parts["total"] = total + self._shown(image, main, parts, progress >= config.critic_from)
        return parts

    def _shown(self, image: Tensor, main: Tensor, parts: dict[str, Tensor], pulls: bool) -> Tensor:
        """Return the loss of the picture itself, (B, 3, H, W) in [0, 1], and enter its parts."""
        config = self.config
        pulls = pulls and self.adversary is not None
        seen_at = image.detach().requires_grad_() if pulls else image
        seen = looks(self.perceptual, seen_at, main, self.places, with_fine=bool(config.weight_fine))
        parts |= {
            "l1": (seen_at - main).abs().mean(),
            "mse": (seen_at - main).square().mean(),
            **seen._asdict(),
        }
        loss = (
            config.weight_l1 * parts["l1"]
            + config.weight_mse * parts["mse"]
            + config.weight_lpips * parts["lpips"]
            + config.weight_texture * parts["texture"]
            + config.weight_fine * parts["fine"]
        )
        if self.adversary is None or not pulls:
            return loss
        (told,) = torch.autograd.grad(loss, seen_at)
        real = main * 2 - 1
        parts["critic"] = self.adversary.learn(real, image * 2 - 1)
        leaf = (image.detach() * 2 - 1).requires_grad_()
        pull = self.adversary.pull(leaf, told, config.weight_critic)
        # The value of the loss; the gradient of the loss and of the critic.
        way: Tensor = ((told + pull) * image).sum()
        total: Tensor = loss.detach() + way - way.detach()
        return total

    @torch.no_grad()
    def _sent(self, main: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents (B, C, H/16, W/16) as packets bring them, and their bits (B,)."""
        model, halves = self.model, (0.5,) * self.config.model.qualities
        fractions = torch.tensor(self.config.rounding or halves, device=self.device)
        with torch.autocast(self.device.type, enabled=False):  # the edge computes in float32
            y, z = model.analysis(main, quality)
            _, bits = model.hyperprior(y, z, quality, True)
            y_hat = model.hyperprior.quantise(y, z, quality, fractions[quality].view(-1, 1, 1, 1))
        return y_hat, bits

    def _latents(self, quality: Tensor) -> Tensor:
        """Return the qualities (B,) whose latents are decoded."""
        if self.teller is None:
            return quality
        latents: Tensor = self.teller.get_buffer("latents")[quality]
        lower = (torch.rand(len(latents), device=self.device) * (latents + 1)).long()
        harder = (torch.rand(len(latents), device=self.device) < self.config.harder) & (latents < quality)
        return torch.where(harder, lower, latents)

    def _refined(self, decoded: Decoded, main: Tensor, quality: Tensor) -> Tensor:
        """Return the pictures (B, 3, H, W) in [0, 1] behind the refiner, each some of the way there."""
        assert isinstance(self.model, Finished) and self.teller is not None and decoded.y_hat is not None
        refiner = self.model.refiner
        told = self.teller(refiner.projection.coefficients(main * 2 - 1), quality, decoded.y_hat)
        ways = torch.tensor(self.config.ways, device=self.device)
        share = ways[torch.randint(0, len(ways), (len(main),), device=self.device)].view(-1, 1, 1, 1)
        with mixed(self.device):
            image = refiner(
                decoded.blend.image.float().clamp(-1, 1),
                decoded.geometry.warped.float().clamp(-1, 1),
                decoded.blend.mask.float(),
                *told,
                share=share,
            )
        shown: Tensor = (image.float() + 1) / 2
        return shown

    def _name_objects(self, decoded: Decoded, tags: Tensor) -> Tensor:
        """Return the loss of text supervision: name an object left out of the text from what m_v lets through."""
        if not self.config.model.text_supervision or decoded.words is None:
            return torch.zeros((), device=self.device)
        masked = choose_masked(tags)
        place = F.avg_pool2d(decoded.geometry.disparity.detach(), 8) / 8
        features = warp(decoded.side8, place) if self.config.model.warp else decoded.side8
        mask = F.avg_pool2d(decoded.blend.mask, 8)
        logits = self.model.masked_object(decoded.words, features.to(decoded.words.dtype), mask, masked)
        return masked_object_loss(logits, masked)

    def _later_step(self, decoded: Decoded, target: Tensor) -> Tensor:
        """Return what the denoiser makes of a random, weaker noise level: the later steps of 2-4 step sampling."""
        # From pure noise every level comes, not only the second half's.
        latest = START_TIMESTEP + 1 if self.config.model.start == "coarse" else TRAIN_TIMESTEPS
        late = torch.randint(0, latest, (len(target),), device=self.device)
        noisy = self.scheduler.add_noise(target, torch.randn_like(target), late)
        guess: Tensor = self.model.denoiser(
            noisy,
            late,
            decoded.features.detach(),
            decoded.coarse.detach(),
            decoded.warped_latent.detach(),
            decoded.words if self.config.model.text else None,
        )
        return guess

    def _qualities(self, count: int) -> Tensor:
        if self.config.quality_weights:
            return torch.multinomial(self.quality_weights, count, replacement=True)
        return torch.randint(0, self.config.model.qualities, (count,), device=self.device)
