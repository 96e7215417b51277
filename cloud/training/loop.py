"""The training loop: one model for all qualities, end to end, by wall-clock budget."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cloud.diffusion.sampler import START_TIMESTEP, TRAIN_TIMESTEPS, make_scheduler
from cloud.models.codec import Codec, Decoded
from cloud.models.warping import warp
from cloud.text.masked_object import choose_masked, masked_object_loss
from common.bundle import Bundle

from .batches import Batch, Batches, ParallelBatches
from .checkpoints import load_checkpoint, load_critic, save_checkpoint
from .config import TrainConfig
from .critic import Adversary
from .data import Pair
from .finish import Finished, Teller
from .losses import AlexDistance, disparity_loss, looks, smoothness
from .precision import mixed
from .respread import is_per_quality, respread
from .warmstart import bundle_weights

LEVEL_WEIGHTS = (0.3, 0.3, 0.4, 0.6, 0.5)
"""Of the geometry core's levels, coarse to fine; the last one's holds for all after it."""
WAYS = (1.0, 1.0, 1.0, 0.5, 0.5, 0.0)
"""How far a picture goes to the refiner's, drawn for each crop: every share is to be of use."""
LATER_EVERY = 4
"""Steps between two passes of the denoiser at later noise levels: they cost a tenth of a step each."""


class Trainer:
    """Holds the model, its moving average, the optimizer and the data; `run` trains until the time is up."""

    def __init__(
        self,
        config: TrainConfig,
        pairs: list[Pair],
        synthetic: list[Pair],
        perceptual: AlexDistance,
        out: Path,
        device: str,
        workers: int = 0,
        tables: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> None:
        """Take data and loss networks.

        Args:
            config: what to train, and how.
            pairs: real ones.
            synthetic: rendered ones.
            perceptual: the loss network.
            out: the run's folder.
            device: "cpu" or "cuda".
            workers: processes that cut crops; 0 for none beside this one.
            tables: a bundle's refinement arrays, wanted where the config has a refiner.

        Raises:
            UsageError: a refiner is to be trained, and there are no tables.
        """
        self.config, self.out, self.device = config, out, torch.device(device)
        torch.manual_seed(config.seed)
        self.rng = random.Random(config.seed)
        self.teller: Teller | None = None
        if config.refiner_width:
            self.model: Codec = Finished(config.model, config.refiner_width, config.refiner_wide)
            self.teller = Teller(tables or {}, config.model.latent_channels).to(self.device)
        else:
            self.model = Codec(config.model)
        self.adversary = Adversary(self.device) if config.weight_critic else None
        self.batches = Batches(config, pairs, synthetic, self.rng, self.device)
        self._fit_latent()
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.perceptual = perceptual.to(self.device)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.workers = workers
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        # Tables over the quality index see an eighth of the batch each and live on a logarithmic scale.
        named = list(self.model.named_parameters())
        tables = [p for name, p in named if is_per_quality(name)]
        others = [p for name, p in named if not is_per_quality(name)]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": others, "factor": 1.0},
                {"params": tables, "factor": 10.0, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            weight_decay=1e-4,
            fused=self.device.type == "cuda",
        )
        self.scheduler = make_scheduler()
        self.places = random.Random(config.seed)
        self.step, self.seconds = 0, 0.0
        self._source: Batches | ParallelBatches | None = None
        drawn = config.quality_weights or (1.0,) * config.model.qualities
        self.quality_weights = torch.tensor(drawn, device=self.device)

    def _next(self) -> Batch:
        if self._source is None:
            self._source = (
                ParallelBatches(self.batches, self.workers, self.config.seed + self.step)
                if self.workers
                else self.batches
            )
        return self._source.next()

    def _fit_latent(self) -> None:
        rng = random.Random(1)
        blocks = []
        for _ in range(200):
            sample = self.batches.draw(self.config.crops[0], rng)
            tiles = torch.from_numpy(sample.main).permute(2, 0, 1).float() / 127.5 - 1
            tiles = tiles.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).reshape(-1, 3, 8, 8)
            blocks.append(tiles[:: max(1, len(tiles) // 128)])
        kept = self.model.latent.fit(torch.cat(blocks))
        print(f"latent space keeps {kept:.1%} of the variance", flush=True)

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

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "total" is what is minimised."""
        config, model = self.config, self.model
        main, side, disparity, present, tags = self._next()
        batch, _, height, width = main.shape
        quality = self._qualities(batch)
        noise = torch.randn(
            batch, config.model.diffusion_channels, height // 8, width // 8, device=self.device
        )
        latents = self._latents(quality)
        with mixed(self.device):
            decoded, bits = model(main, side, present, latents, noise, tags=tags)
            target = model.latent.encode(main * 2 - 1)
            every = LATER_EVERY if config.model.start == "coarse" else 1
            again = self._later_step(decoded, target) if self.step % every == 0 else None
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
        parts["total"] = total + self._shown(image, main, parts)
        return parts

    def _shown(self, image: Tensor, main: Tensor, parts: dict[str, Tensor]) -> Tensor:
        """Return the loss of the picture itself, (B, 3, H, W) in [0, 1], and enter its parts."""
        config = self.config
        pulls = self.adversary is not None and self._progress() >= config.critic_from
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
        way = ((told + pull) * image).sum()
        return loss.detach() + way - way.detach()

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
        ways = torch.tensor(WAYS, device=self.device)
        share = ways[torch.randint(0, len(WAYS), (len(main),), device=self.device)].view(-1, 1, 1, 1)
        with mixed(self.device):
            image = refiner(
                decoded.blend.image.float().clamp(-1, 1),
                decoded.geometry.warped.float().clamp(-1, 1),
                decoded.blend.mask.float(),
                *told,
                share=share,
            )
        return (image.float() + 1) / 2

    def _progress(self) -> float:
        """Return how much of the schedule is over."""
        if self.config.steps:
            return min(1.0, self.step / self.config.steps)
        return min(1.0, self.seconds / (self.config.minutes * 60))

    def _rate(self) -> float:
        progress = self._progress()
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        return self.config.learning_rate * warm * (0.5 * (1 + math.cos(math.pi * progress)) * 0.98 + 0.02)

    def run(self, minutes: float | None = None, steps: int | None = None) -> None:
        """Train until the config's time (resumed time counted in), or `minutes` or `steps` of this call, are up."""
        limit = self.config.minutes * 60 if not self.config.steps else math.inf
        stop = min(limit, self.seconds + minutes * 60) if minutes is not None else limit
        last = time.monotonic()
        saved, first = last, self.step
        curve = (self.out / "curve.jsonl").open("a")
        sums: dict[str, Tensor | float] = {}
        by_time = math.isfinite(stop)
        bar = tqdm(
            total=round(stop) if by_time else self.config.steps,
            initial=round(self.seconds) if by_time else self.step,
            unit="s" if by_time else "step",
            disable=None,
        )
        last_step = self.config.steps or math.inf
        if steps is not None:
            last_step = min(last_step, first + steps)
        while self.seconds < stop and self.step < last_step:
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate() * group["factor"]
            parts = self.losses()
            self.optimizer.zero_grad(set_to_none=True)
            parts["total"].backward()  # type: ignore[no-untyped-call]
            self._update()
            self.step += 1
            with torch.no_grad():
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value.detach().float()
            now = time.monotonic()
            self.seconds += now - last
            bar.update((round(self.seconds) if by_time else self.step) - bar.n)
            last = now
            if self.step % 25 == 0:
                row = {name: round(float(value) / 25, 5) for name, value in sums.items()}
                row.update(step=self.step, seconds=round(self.seconds), lr=self._rate())
                curve.write(json.dumps(row) + "\n")
                curve.flush()
                sums = {}
            if now - saved > 300:
                self.save()
                saved = now
        bar.close()
        curve.close()
        self.save()

    def _update(self) -> None:
        """Take the optimizer's step, unless a gradient is not finite, and move the averages."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        if self.device.type == "cuda":
            # The fused optimizer looks for itself whether to skip: asking here would make the host wait every step.
            self.optimizer.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif torch.isfinite(norm):
            self.optimizer.step()
        decay = min(self.config.ema, (self.step + 2) / (self.step + 11))
        with torch.no_grad():
            state = self.model.state_dict()
            torch._foreach_lerp_(list(self.ema.values()), [state[name] for name in self.ema], 1 - decay)

    def save(self) -> None:
        """Write `last.safetensors` in the run's folder."""
        facts = {"step": self.step, "seconds": self.seconds, "config": dataclasses.asdict(self.config)}
        critic = None if self.adversary is None else self.adversary.critic.state_dict()
        save_checkpoint(self.out / "last.safetensors", self.model, self.ema, self.optimizer, facts, critic)

    def resume(self, path: Path, weights_only: bool = False) -> None:
        """Continue from a checkpoint; with `weights_only`, or from a bundle's folder, start a new schedule."""
        if path.is_dir():
            self._begin_with(Bundle.load(path))
            return
        facts = load_checkpoint(path, self.model, self.ema, None if weights_only else self.optimizer)
        old, new = facts["config"]["lambdas"], self.config.lambdas
        if weights_only and tuple(old) != new:
            with torch.no_grad():
                for tensors in (dict(self.model.named_parameters()), self.ema):
                    for name in filter(is_per_quality, tensors):
                        tensors[name].copy_(respread(tensors[name].cpu(), name, old, new))
        if self.adversary is not None and (known := load_critic(path)):
            self.adversary.critic.load_state_dict(known)
        if not weights_only:
            self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.rng.seed(self.config.seed + self.step)
        self.places.seed(self.config.seed + self.step)
        torch.manual_seed(self.config.seed + self.step)
        print(f"resumed {path}: {facts['fitted']} of {facts['wanted']} tensors, step {self.step}", flush=True)

    def _begin_with(self, bundle: Bundle) -> None:
        """Take the weights of a bundle."""
        found = bundle_weights(bundle, self.model)
        self.model.load_state_dict(found, strict=False)
        state = self.model.state_dict()
        for name, value in self.ema.items():
            value.copy_(state[name])
        print(f"started from bundle {bundle.hex}: {len(found)} of {len(state)} tensors", flush=True)
