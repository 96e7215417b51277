"""`mdic-cloud refine`: give a bundle a refinement: tables fitted to what its decoder gets wrong, and a network."""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from cloud.models.refiner import SHARE, Refiner, intervals
from common.entropy.coder import RangeEncoder
from common.entropy.refinement import Refinement, RefinementCodec
from common.errors import UsageError

from .losses import AlexDistance, looks
from .material import Scene
from .precision import mixed
from .steps import fit_arrays

Prepared = tuple[Scene, int, Refinement]
"""A scene, the quality it is refined at, and its refinement."""
WEIGHTS = {"l1": 2.0, "mse": 40.0, "lpips": 2.0, "texture": 1.5, "fine": 2.0}
MIXED = 0.7
"""How many crops are judged as the decoder will show them, `SHARE` of the way; the others go all the way."""
PIXELS = 8 * 128 * 256
"""In a batch."""


def prepare(scenes: list[Scene], codec: RefinementCodec, qualities: list[int]) -> list[Prepared]:
    """Return every scene with its refinement at each quality that uses its latents."""
    prepared = []
    for scene in tqdm(scenes, desc="refinements", disable=None):
        for quality in qualities:
            if codec.latents(quality) != scene.latents:
                continue
            refinement = codec.quantise(scene.example().true, quality, scene.y16)
            levels, _ = codec.encode(RangeEncoder(), refinement.levels, quality)
            prepared.append((scene, quality, Refinement(levels, refinement.steps, refinement.mean)))
    return prepared


def untold(scenes: list[Scene]) -> list[Prepared]:
    """Return every scene with nothing sent of it: frames of the lower qualities are painted too."""
    return [(scene, scene.latents, Refinement.nothing(*scene.y16.shape[1:])) for scene in scenes]


def tensors(batch: list[Prepared], device: torch.device) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return (main (B, 3, H, W) in [0, 1], the refiner's six inputs) of scenes of one size."""

    def images(name: str) -> Tensor:
        stacked = np.stack([getattr(scene, name) for scene, _, _ in batch])
        planes = torch.from_numpy(stacked).to(device).float() / 255
        return planes.contiguous(memory_format=torch.channels_last)

    lows, highs, steps = intervals([refinement for _, _, refinement in batch], device)
    inputs = (images("base") * 2 - 1, images("warped") * 2 - 1, images("mask"), lows, highs, steps)
    return images("main"), inputs


class Plan(NamedTuple):
    """Which quality gets a refinement: it uses the latents of another, and a bit must save `price` (fit_arrays)."""

    quality: int
    latents: int
    price: float


PLANS = "6:5:0.076,7:5:0.0131"


def parse_plans(text: str, qualities: int) -> list[Plan]:
    """Read `QUALITY:LATENTS:PRICE,...`.

    Raises:
        UsageError: it is not of that form, or names a quality that the bundle has not, or one twice.
    """
    try:
        parts = [part.split(":") for part in text.split(",")]
        plans = [Plan(int(quality), int(latents), float(price)) for quality, latents, price in parts]
    except ValueError as why:
        raise UsageError(f"--plan {text!r}: expected QUALITY:LATENTS:PRICE, separated by commas") from why
    fits = all(0 <= p.latents <= p.quality < qualities and 0 < p.price < math.inf for p in plans)
    if not fits or len({p.quality for p in plans}) < len(plans):
        raise UsageError(f"--plan {text!r}: qualities are 0..{qualities - 1}, each once, latents not above")
    return sorted(plans)


def parse_bases(text: str | None, plans: list[Plan]) -> list[int]:
    """Read `0,1,2,...`, the qualities the pictures are decoded at; without it all up to the plans' latents, in turn.

    Raises:
        UsageError: not numbers, or above the latents that a plan uses.
    """
    most = min(plan.latents for plan in plans)
    if text is None:
        return list(range(most + 1))
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) <= most for part in parts):
        raise UsageError(f"--bases {text!r}: expected qualities from 0 to {most}, separated by commas")
    return [int(part) for part in parts]


def parse_shares(text: str | None, qualities: int) -> dict[str, list[float]]:
    """Read `0.4,0.4,...`, how far pictures of each quality go towards the network's; nothing where nothing is said.

    Raises:
        UsageError: not one number from 0 to 1 for each quality.
    """
    if text is None:
        return {}
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError as why:
        raise UsageError(f"--shares {text!r}: expected numbers separated by commas") from why
    if len(shares) != qualities or not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"--shares {text!r}: expected {qualities} numbers from 0 to 1")
    return {"shares": shares}


def parse_rounding(text: str | None, qualities: int) -> dict[str, NDArray[np.int32]]:
    """Read `62,55,...`, where the encoder rounds residuals up, in percent; nothing where nothing is said.

    Raises:
        UsageError: not one number from 50 to 100 for each quality.
    """
    if text is None:
        return {}
    parts = text.split(",")
    if len(parts) != qualities or not all(part.isdecimal() and 50 <= int(part) <= 100 for part in parts):
        raise UsageError(f"--round-at {text!r}: expected {qualities} numbers from 50 to 100")
    return {"round_at": np.array([int(part) for part in parts], np.int32)}


def fit(
    scenes: list[Scene], plans: list[Plan], qualities: int, most: int = 250
) -> dict[str, NDArray[np.int32]]:
    """Return the refinement's arrays, fitted to at most so many scenes a quality that have a side view.

    Raises:
        UsageError: there is no scene for a quality.
    """
    groups = []
    for plan in plans:
        fitting = [scene for scene in scenes if scene.latents == plan.latents and scene.present]
        if not fitting:
            raise UsageError(f"no scene was decoded with the latents of quality {plan.latents}")
        drawn = random.Random(5).sample(fitting, min(most, len(fitting)))
        groups.append([scene.example() for scene in drawn])
    latents = list(range(qualities))
    for plan in plans:
        latents[plan.quality] = plan.latents
    return fit_arrays(groups, {plan.quality: plan.price for plan in plans}, latents)


class RefinerTrainer:
    """Trains a refiner on prepared scenes for a given time; keeps a moving average of its weights."""

    def __init__(
        self,
        scenes: list[Prepared],
        perceptual: AlexDistance,
        device: str,
        seed: int = 0,
        rate: float = 5e-4,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Take what to train on; `start`: weights to go on from, none for a new network."""
        torch.manual_seed(seed)
        self.rng, self.device = random.Random(seed), torch.device(device)
        self.scenes, self.rate = scenes, rate
        model = Refiner() if start is None else Refiner.of(start)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.perceptual = perceptual.to(self.device)
        self.ema = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=1e-4)
        sizes = {scene.main.shape for scene, _, _ in scenes}
        self.pools = [[one for one in scenes if one[0].main.shape == size] for size in sorted(sizes)]

    def losses(self) -> dict[str, Tensor]:
        """Draw a batch and return its losses; "total" is what is minimised."""
        pool = self.rng.choice(self.pools)
        count = max(1, PIXELS // pool[0][0].main[0].size)
        main, inputs = tensors([self.rng.choice(pool) for _ in range(count)], self.device)
        with mixed(self.device):
            share = torch.tensor([SHARE if self.rng.random() < MIXED else 1.0 for _ in main])
            refined = self.model(*inputs, share=share.view(-1, 1, 1, 1).to(self.device))
            image = (refined.float() + 1) / 2
            seen = looks(self.perceptual, image, main, self.rng)
        parts = {
            "l1": (image - main).abs().mean(),
            "mse": (image - main).square().mean(),
            **seen._asdict(),
        }
        parts["total"] = torch.stack([WEIGHTS[name] * value.float() for name, value in parts.items()]).sum()
        return parts

    def run(self, minutes: float, out: Path) -> int:
        """Train and return the number of steps; refiner.jsonl and refiner.safetensors go to `out` as it goes."""
        start, saved, step = time.monotonic(), time.monotonic(), 0
        sums: dict[str, float] = {}
        bar = tqdm(total=round(minutes * 60), unit="s", disable=None)
        with (out / "refiner.jsonl").open("a") as curve:
            while (passed := time.monotonic() - start) < minutes * 60:
                progress = passed / (minutes * 60)
                warm = min(1.0, (step + 1) / 50)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.rate * warm * (0.5 * (1 + math.cos(math.pi * progress)) * 0.98 + 0.02)
                parts = self.losses()
                self.optimizer.zero_grad(set_to_none=True)
                parts["total"].backward()  # type: ignore[no-untyped-call]
                norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                if torch.isfinite(norm):
                    self.optimizer.step()
                step += 1
                decay = min(0.998, (step + 1) / (step + 10))
                with torch.no_grad():
                    for name, value in self.model.state_dict().items():
                        self.ema[name].lerp_(value, 1 - decay)
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach())
                bar.update(round(passed) - bar.n)
                if step % 50 == 0:
                    row = {name: round(value / 50, 5) for name, value in sums.items()}
                    curve.write(json.dumps(row | {"step": step, "seconds": round(passed)}) + "\n")
                    curve.flush()
                    sums = {}
                if time.monotonic() - saved > 120:
                    saved = time.monotonic()
                    self.save(out)
        bar.close()
        self.save(out)
        return step

    def save(self, out: Path) -> None:
        """Write the averaged weights to `refiner.safetensors` in a folder."""
        path = out / "refiner.safetensors"
        save_file(
            {name: value.contiguous() for name, value in self.ema.items()}, path.with_suffix(".partial")
        )
        path.with_suffix(".partial").replace(path)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(
        prog="mdic-cloud refine", description="fit a refinement to a bundle and train its network"
    )
    p.add_argument("--bundle", help="name or folder of the bundle to be refined (default: the shipped one)")
    p.add_argument("--data", type=Path, help="folder of NAME/{left,right}/*")
    p.add_argument("--labels", type=Path, help="folder of label maps NAME/{left,right}/*.png")
    p.add_argument("--synthetic", type=int, default=0, metavar="N", help="synthetic pairs to add")
    p.add_argument("--metric-weights", type=Path, required=True, help="folder with the LPIPS-Alex weights")
    p.add_argument("--config", type=Path, help="TOML file of the crops (default: as for train)")
    p.add_argument("--out", type=Path, required=True, help="run folder: scenes, curve, refiner, and bundle/")
    p.add_argument("--batches", type=int, default=240, help="batches of crops to decode and fit to")
    p.add_argument(
        "--minutes", type=float, default=45.0, help="training time of the network; 0: fit the tables alone"
    )
    p.add_argument("--plan", default=PLANS, help="QUALITY:LATENTS:PRICE, ... (default: %(default)s)")
    p.add_argument(
        "--bases", metavar="QUALITY,...", help="decode the pictures at these (default: all up to the plan's)"
    )
    p.add_argument("--fresh", action="store_true", help="do not start from the network that the bundle has")
    p.add_argument(
        "--shares", metavar="SHARE,...", help="how far to go to the network's picture (default: kept)"
    )
    p.add_argument(
        "--round-at", metavar="PERCENT,...", help="for each quality, where residuals round up (50..100)"
    )
    p.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    p.add_argument("--note", default="", help="what it was trained on, kept in the manifest")
    return p


def main(argv: list[str] | None = None) -> int:
    """Refine a bundle; scenes that lie in the run folder already are used again."""
    args = parser().parse_args(argv)
    from cloud.allocator import keep_freed_memory
    from cloud.decoder import Decoder
    from cloud.rebundle import add_refinement
    from common.bundle import Bundle

    from . import material
    from .batches import Batches
    from .config import load_config
    from .data import load_folder, synthetic_pairs

    bundle = Bundle.load(args.bundle)
    plans = parse_plans(args.plan, bundle.codec.qualities)
    bases = parse_bases(args.bases, plans)
    old = {k: v for k, v in bundle.manifest.get("refinement", {}).items() if k == "shares"}
    shares = parse_shares(args.shares, bundle.codec.qualities) or old
    rounding = parse_rounding(args.round_at, bundle.codec.qualities)
    perceptual = AlexDistance(args.metric_weights)
    config = load_config(args.config or Path(__file__).parent / "configs" / "compact.toml")
    args.out.mkdir(parents=True, exist_ok=True)
    pairs = []
    if args.data:
        pairs = load_folder(args.data, args.out / "disparity", labels=args.labels, leave_out=config.leave_out)
    streets = synthetic_pairs(args.synthetic, args.out / "synthetic") if args.synthetic else []
    if not pairs and not streets:
        raise UsageError("nothing to fit to: give --data, --synthetic N, or both")
    decoder = Decoder(bundle, args.device)
    if decoder.device.type == "cpu":
        keep_freed_memory()
    batches = Batches(config, pairs, streets, random.Random(config.seed), decoder.device)
    latents = sorted({plan.latents for plan in plans})
    material.make(args.out / "scenes", decoder, batches, args.batches, latents, bases)
    scenes = material.load(args.out / "scenes")
    arrays = fit(scenes, plans, bundle.codec.qualities)
    codec = RefinementCodec(arrays, bundle.codec.latent_channels, bundle.codec.qualities, "refinement")
    start = None if args.fresh or decoder.refiner is None else decoder.refiner.state_dict()
    prepared = untold(scenes)
    if args.minutes:
        prepared += prepare(scenes, codec, [plan.quality for plan in plans])
    trainer = RefinerTrainer(prepared, perceptual, decoder.device.type, config.seed, start=start)
    steps = trainer.run(args.minutes, args.out)
    arrays.update(rounding)
    facts = {"plan": args.plan, "steps": steps, "minutes": args.minutes, "note": args.note, **shares}
    refined = add_refinement(bundle, args.out / "bundle", dict(arrays), trainer.ema, facts)
    print(f"bundle {refined.name} {refined.hex} in {refined.path}")
    return 0
