"""The training loop: one model for all qualities, end to end, by wall-clock budget."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from cloud.diffusion.sampler import START_TIMESTEP, TRAIN_TIMESTEPS, make_scheduler
from cloud.models.codec import Codec, Decoded
from cloud.models.warping import warp
from cloud.text.masked_object import choose_masked, masked_object_loss

from .batches import Batches
from .checkpoints import load_checkpoint, save_checkpoint
from .config import TrainConfig
from .data import Pair
from .losses import AlexDistance, disparity_loss, looks, smoothness
from .respread import is_per_quality, respread

LEVEL_WEIGHTS = (0.3, 0.3, 0.4, 0.6, 0.5)
"""Of the geometry core's levels, coarse to fine; the last one's holds for all after it."""
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
    ) -> None:
        self.config, self.out, self.device = config, out, torch.device(device)
        torch.manual_seed(config.seed)
        self.rng = random.Random(config.seed)
        self.model = Codec(config.model)
        self.batches = Batches(config, pairs, synthetic, self.rng, self.device)
        self._fit_latent()
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.perceptual = perceptual.to(self.device)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
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
        )
        self.scheduler = make_scheduler()
        self.places = random.Random(config.seed)
        self.step, self.seconds = 0, 0.0

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

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "total" is what is minimised."""
        config, model = self.config, self.model
        main, side, disparity, present, tags = self.batches.next()
        batch, _, height, width = main.shape
        quality = torch.randint(0, config.model.qualities, (batch,), device=self.device)
        noise = torch.randn(
            batch, config.model.diffusion_channels, height // 8, width // 8, device=self.device
        )
        with torch.autocast(self.device.type, torch.bfloat16):
            decoded, bits = model(main, side, present, quality, noise, tags=tags)
            target = model.latent.encode(main * 2 - 1)
            every = LATER_EVERY if config.model.start == "coarse" else 1
            again = self._later_step(decoded, target) if self.step % every == 0 else None
            named = self._name_objects(decoded, tags)
        image = (decoded.blend.image.float() + 1) / 2
        warped = (decoded.geometry.warped + 1) / 2
        generated = (decoded.blend.generated.float() + 1) / 2
        bpp = bits / (height * width)
        here = present[:, None, None, None]
        rate_weight = torch.tensor(config.lambdas, device=self.device)[quality]
        teacher = torch.where(here > 0, disparity, torch.full_like(disparity, -1.0))
        geometry = disparity_loss(decoded.geometry.disparity, teacher)
        for index, level in enumerate(decoded.geometry.levels):
            geometry = geometry + LEVEL_WEIGHTS[min(index, len(LEVEL_WEIGHTS) - 1)] * disparity_loss(
                level, teacher
            )
        seen = looks(self.perceptual, image, main, self.places, with_fine=bool(config.weight_fine))
        parts = {
            "bpp": bpp.mean(),
            "rate": (rate_weight * bpp).mean(),
            "l1": (image - main).abs().mean(),
            "mse": (image - main).square().mean(),
            **seen._asdict(),
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
        parts["total"] = (
            parts["rate"]
            + config.weight_l1 * parts["l1"]
            + config.weight_mse * parts["mse"]
            + config.weight_lpips * parts["lpips"]
            + config.weight_texture * parts["texture"]
            + config.weight_fine * parts["fine"]
            + config.weight_text * parts["text"]
            + config.weight_codebook * parts["codebook"]
            + config.weight_warp * parts["warp"]
            + config.weight_generated * parts["generated"]
            + config.weight_geometry * parts["geometry"]
            + config.weight_smooth * parts["smooth"]
            + config.weight_latent * (parts["coarse"] + parts["latent"] + parts["later"])
        )
        return parts

    def _rate(self) -> float:
        progress = min(1.0, self.seconds / (self.config.minutes * 60))
        if self.config.steps:
            progress = min(1.0, self.step / self.config.steps)
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        return self.config.learning_rate * warm * (0.5 * (1 + math.cos(math.pi * progress)) * 0.98 + 0.02)

    def run(self, minutes: float | None = None, steps: int | None = None) -> None:
        """Train until the config's time (resumed time counted in), or `minutes` or `steps` of this call, are up."""
        limit = self.config.minutes * 60 if not self.config.steps else math.inf
        stop = min(limit, self.seconds + minutes * 60) if minutes is not None else limit
        last = time.monotonic()
        saved, first = last, self.step
        curve = (self.out / "curve.jsonl").open("a")
        sums: dict[str, float] = {}
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
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
            if torch.isfinite(norm):
                self.optimizer.step()
            self.step += 1
            decay = min(self.config.ema, (self.step + 1) / (self.step + 10))
            with torch.no_grad():
                for name, value in self.model.state_dict().items():
                    self.ema[name].lerp_(value, 1 - decay)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            now = time.monotonic()
            self.seconds += now - last
            bar.update((round(self.seconds) if by_time else self.step) - bar.n)
            last = now
            if self.step % 25 == 0:
                row = {name: round(value / 25, 5) for name, value in sums.items()}
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

    def save(self) -> None:
        """Write `last.safetensors` in the run's folder."""
        facts = {"step": self.step, "seconds": self.seconds, "config": dataclasses.asdict(self.config)}
        save_checkpoint(self.out / "last.safetensors", self.model, self.ema, self.optimizer, facts)

    def resume(self, path: Path, weights_only: bool = False) -> None:
        """Continue from a checkpoint; with `weights_only` start a new schedule from its weights."""
        facts = load_checkpoint(path, self.model, self.ema, None if weights_only else self.optimizer)
        old, new = facts["config"]["lambdas"], self.config.lambdas
        if weights_only and tuple(old) != new:
            with torch.no_grad():
                for tensors in (dict(self.model.named_parameters()), self.ema):
                    for name in filter(is_per_quality, tensors):
                        tensors[name].copy_(respread(tensors[name].cpu(), name, old, new))
        if not weights_only:
            self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.rng.seed(self.config.seed + self.step)
        self.places.seed(self.config.seed + self.step)
        torch.manual_seed(self.config.seed + self.step)
        print(f"resumed {path}: {facts['fitted']} of {facts['wanted']} tensors, step {self.step}", flush=True)
