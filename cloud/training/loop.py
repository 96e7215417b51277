"""The training loop: one model for all qualities, end to end, by wall-clock budget."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cloud.diffusion.sampler import START_TIMESTEP, make_scheduler
from cloud.models.codec import Codec

from .checkpoints import load_checkpoint, save_checkpoint
from .config import TrainConfig
from .data import U8, CropShape, Pair, Sample, cut
from .losses import AlexDistance, disparity_loss, smoothness


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
        self.pools = {
            "colour": [p for p in pairs if not p.grey],
            "grey": [p for p in pairs if p.grey],
            "synthetic": synthetic,
        }
        self._fit_latent()
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.perceptual = perceptual.to(self.device)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=1e-4
        )
        self.scheduler = make_scheduler()
        self.step, self.seconds = 0, 0.0

    def _fit_latent(self) -> None:
        rng = random.Random(1)
        blocks = []
        for _ in range(200):
            sample = self._draw(self.config.crops[0], rng)
            tiles = torch.from_numpy(sample.main).permute(2, 0, 1).float() / 127.5 - 1
            tiles = tiles.unfold(1, 8, 8).unfold(2, 8, 8).permute(1, 2, 0, 3, 4).reshape(-1, 3, 8, 8)
            blocks.append(tiles[:: max(1, len(tiles) // 128)])
        kept = self.model.latent.fit(torch.cat(blocks))
        print(f"latent space keeps {kept:.1%} of the variance", flush=True)

    def _draw(self, shape: CropShape, rng: random.Random) -> Sample:
        roll = rng.random()
        pool = self.pools["colour"]
        if self.pools["synthetic"] and roll < self.config.synthetic_share:
            pool = self.pools["synthetic"]
        elif self.pools["grey"] and roll > 1 - self.config.grey_share:
            pool = self.pools["grey"]
        if not pool:
            pool = self.pools["synthetic"] or self.pools["grey"]
        config = self.config
        return cut(rng.choice(pool), shape, rng, config.drop_side, config.lossy_side, config.stale_side)

    def _batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shape = self.rng.choices(self.config.crops, self.config.crop_weights)[0]
        samples = [self._draw(shape, self.rng) for _ in range(shape.batch)]

        def images(arrays: list[U8]) -> Tensor:
            stacked = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(self.device)
            return stacked.float().div(255).contiguous(memory_format=torch.channels_last)

        disparity = torch.from_numpy(np.stack([s.disparity for s in samples]))[:, None].to(self.device)
        present = torch.tensor([float(s.present) for s in samples], device=self.device)
        return images([s.main for s in samples]), images([s.side for s in samples]), disparity, present

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "total" is what is minimised."""
        config, model = self.config, self.model
        main, side, disparity, present = self._batch()
        batch, _, height, width = main.shape
        quality = torch.randint(0, config.model.qualities, (batch,), device=self.device)
        noise = torch.randn(
            batch, config.model.diffusion_channels, height // 8, width // 8, device=self.device
        )
        with torch.autocast(self.device.type, torch.bfloat16):
            decoded, bits = model(main, side, present, quality, noise)
            # A second pass of the denoiser at a random, weaker noise level: the later steps of 2-4 step sampling.
            target = model.latent.encode(main * 2 - 1)
            late = torch.randint(0, START_TIMESTEP + 1, (batch,), device=self.device)
            noisy = self.scheduler.add_noise(target, torch.randn_like(target), late)
            again = model.denoiser(
                noisy,
                late,
                decoded.features.detach(),
                decoded.coarse.detach(),
                decoded.warped_latent.detach(),
            )
        image = (decoded.blend.image.float() + 1) / 2
        warped = (decoded.geometry.warped + 1) / 2
        generated = (decoded.blend.generated.float() + 1) / 2
        bpp = bits / (height * width)
        here = present[:, None, None, None]
        rate_weight = torch.tensor(config.lambdas, device=self.device)[quality]
        teacher = torch.where(here > 0, disparity, torch.full_like(disparity, -1.0))
        geometry = disparity_loss(decoded.geometry.disparity, teacher)
        for level, weight in zip(decoded.geometry.levels, (0.3, 0.3, 0.4, 0.6, 0.5, 0.5), strict=True):
            geometry = geometry + weight * disparity_loss(level, teacher)
        parts = {
            "bpp": bpp.mean(),
            "rate": (rate_weight * bpp).mean(),
            "l1": (image - main).abs().mean(),
            "mse": (image - main).square().mean(),
            "lpips": self.perceptual(image, main).mean(),
            "warp": ((warped - main).abs().clamp(max=0.3) * here).mean(),
            # Judged everywhere, not only where the mask lets it show: else the mask never learns to let go.
            "generated": (generated - main).abs().mean(),
            "geometry": geometry,
            "smooth": (smoothness(decoded.geometry.disparity, main) * 1.0),
            "coarse": (decoded.coarse - target).abs().mean(),
            "latent": (decoded.clean - target).abs().mean() + (again - target).abs().mean(),
            "mask": decoded.blend.mask.mean(),
        }
        parts["total"] = (
            parts["rate"]
            + config.weight_l1 * parts["l1"]
            + config.weight_mse * parts["mse"]
            + config.weight_lpips * parts["lpips"]
            + config.weight_warp * parts["warp"]
            + config.weight_generated * parts["generated"]
            + config.weight_geometry * parts["geometry"]
            + config.weight_smooth * parts["smooth"]
            + config.weight_latent * (parts["coarse"] + parts["latent"])
        )
        return parts

    def _rate(self) -> float:
        progress = min(1.0, self.seconds / (self.config.minutes * 60))
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        return self.config.learning_rate * warm * (0.5 * (1 + math.cos(math.pi * progress)) * 0.98 + 0.02)

    def run(self, minutes: float | None = None, steps: int | None = None) -> None:
        """Train until the config's time (resumed time counted in), or `minutes` or `steps` of this call, are up."""
        limit = self.config.minutes * 60
        stop = min(limit, self.seconds + minutes * 60) if minutes is not None else limit
        last = time.monotonic()
        saved, first = last, self.step
        curve = (self.out / "curve.jsonl").open("a")
        sums: dict[str, float] = {}
        bar = tqdm(total=round(stop), initial=round(self.seconds), unit="s", disable=None)
        while self.seconds < stop and (steps is None or self.step - first < steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
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
            bar.update(round(self.seconds) - bar.n)
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
        if not weights_only:
            self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.rng = random.Random(self.config.seed + self.step)
        torch.manual_seed(self.config.seed + self.step)
        print(f"resumed {path}: {facts['fitted']} of {facts['wanted']} tensors, step {self.step}", flush=True)
