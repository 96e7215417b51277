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
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cloud.models.codec import Codec
from cloud.restoration.network import load_restorer
from common.bundle import Bundle

from .batches import Batch, Batches, ParallelBatches
from .checkpoints import load_checkpoint, load_critic, save_checkpoint
from .config import TrainConfig
from .data import Pair
from .finish import Finished, Teller
from .losses import AlexDistance
from .objective import Objective
from .respread import is_per_quality, respread
from .warmstart import bundle_weights


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
        teller: Teller | None = None
        if config.refiner_width:
            self.model: Codec = Finished(config.model, config.refiner_width, config.refiner_wide)
            teller = Teller(tables or {}, config.model.latent_channels).to(self.device)
        else:
            self.model = Codec(config.model)
        self.batches = Batches(config, pairs, synthetic, self.rng, self.device)
        self._fit_latent()
        self.model.to(self.device).to(memory_format=torch.channels_last)
        self.objective = Objective(config, self.model, perceptual, self.device, teller)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.workers = workers
        self.restorer = load_restorer(device=self.device) if config.restore_side else None
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        # Tables over the quality index see an eighth of the batch each and live on a logarithmic scale.
        if config.decoder_only:
            for name in ("analysis", "hyperprior", "latent", "refiner"):
                if name in dict(self.model.named_children()):
                    self.model.get_submodule(name).requires_grad_(False)
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        by_quality = [p for name, p in named if is_per_quality(name)]
        others = [p for name, p in named if not is_per_quality(name)]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": others, "factor": 1.0},
                {"params": by_quality, "factor": 10.0, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            weight_decay=1e-4,
            fused=self.device.type == "cuda",
        )
        self.step, self.seconds = 0, 0.0
        self._source: Batches | ParallelBatches | None = None

    def _next(self) -> Batch:
        if self._source is None:
            self._source = (
                ParallelBatches(self.batches, self.workers, self.config.seed + self.step)
                if self.workers
                else self.batches
            )
        batch = self._source.next()
        if self.restorer is None:
            return batch
        rows = batch.lossy.nonzero()[:, 0]
        if len(rows):
            with torch.no_grad():
                batch.side[rows] = self.restorer(batch.side[rows])
        return batch

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

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "total" is what is minimised."""
        return self.objective(self._next(), self.step, self._progress())

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
        adversary = self.objective.adversary
        critic = None if adversary is None else adversary.critic.state_dict()
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
        adversary = self.objective.adversary
        if adversary is not None and (known := load_critic(path)):
            adversary.critic.load_state_dict(known)
        if not weights_only:
            self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.rng.seed(self.config.seed + self.step)
        self.objective.places.seed(self.config.seed + self.step)
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
