"""Train one variant with the budget that all share, resumable, and say when it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.rd.results import write_json
from cloud.models.codec import Codec
from cloud.training.checkpoints import load_model
from cloud.training.config import TrainConfig
from cloud.training.data import Pair
from cloud.training.loop import Trainer
from cloud.training.losses import AlexDistance
from common.bundle import Bundle
from common.errors import UsageError

MARKER = "run.json"
CHECKPOINT = "last.safetensors"


@dataclass(frozen=True)
class Material:
    """What every variant is trained on.

    Attributes:
        pairs: real pairs.
        streets: synthetic ones.
        perceptual: the training loss's network.
        start: a checkpoint or a bundle's folder whose weights all begin with, or None for none.
        fresh: beginnings of names of tensors that do not come from it.
        device: a torch device.
        about: what the data were, for the marker.
    """

    pairs: list[Pair]
    streets: list[Pair]
    perceptual: AlexDistance
    start: Path | None
    fresh: tuple[str, ...]
    device: str
    about: Mapping[str, Any]


def settings_of(config: TrainConfig, material: Material) -> dict[str, Any]:
    """Return everything that decides what a run learns, as JSON has it."""
    start = None if material.start is None else _identity(material.start)
    whole = {
        "config": dataclasses.asdict(config),
        "start": start,
        "fresh": list(material.fresh) if start else [],
        "pairs": len(material.pairs),
        "synthetic": len(material.streets),
        **material.about,
    }
    loaded: dict[str, Any] = json.loads(json.dumps(whole))
    return loaded


def train(config: TrainConfig, material: Material, out: Path) -> dict[str, Any]:
    """Train a variant in the folder `out`, or go on where an earlier call stopped; return its facts.

    A folder whose run is done is not trained again.

    Returns:
        steps, minutes, parameters, fitted and wanted (tensors taken from the start weights), settings, done.

    Raises:
        UsageError: the folder holds a run with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    marker = out / MARKER
    settings = settings_of(config, material)
    facts: dict[str, Any] = {"done": False}
    if marker.is_file():
        facts = json.loads(marker.read_text(encoding="utf-8"))
        key = first_difference(settings, facts["settings"])
        if key is not None:
            raise UsageError(f"{out} holds a run with another {key}: choose another --out, or remove it")
    if facts["done"]:
        return facts
    trainer = Trainer(config, material.pairs, material.streets, material.perceptual, out, material.device)
    trainer.model.train()
    fitted = _begin(trainer, material, out)
    facts = {"settings": settings, "done": False, "parameters": count(trainer.model)}
    facts |= {key: value for key, value in (("fitted", fitted[0]), ("wanted", fitted[1]))}
    write_json(marker, facts)
    trainer.run()
    facts |= {"done": True, "steps": trainer.step, "minutes": round(trainer.seconds / 60, 2)}
    write_json(marker, facts)
    return facts


def _begin(trainer: Trainer, material: Material, out: Path) -> tuple[int, int]:
    """Resume, or start from the common weights; return how many tensors came from the start weights, of how many."""
    wanted = len(trainer.model.state_dict())
    if (out / CHECKPOINT).is_file():
        trainer.resume(out / CHECKPOINT)
        known = json.loads((out / MARKER).read_text(encoding="utf-8")) if (out / MARKER).is_file() else {}
        return int(known.get("fitted", 0)), wanted
    # One seed for all: what the draws are must not depend on how many weights a variant has.
    torch.manual_seed(trainer.config.seed)
    if material.start is None:
        return 0, wanted
    own = trainer.model.state_dict()
    kept = {n: v.detach().clone() for n, v in own.items() if material.fresh and n.startswith(material.fresh)}
    before = {n: v.detach().clone() for n, v in own.items()}
    trainer.resume(material.start, weights_only=True)
    with torch.no_grad():
        for name, value in kept.items():
            own[name].copy_(value)
            trainer.ema[name].copy_(value)
    changed = sum(not torch.equal(value, before[name]) for name, value in own.items())
    return changed, wanted


def _identity(start: Path) -> str:
    """Return what tells one set of start weights from another: a bundle's id, a checkpoint's SHA-256."""
    if start.is_dir():
        return Bundle.load(start).hex
    return hashlib.sha256(start.read_bytes()).hexdigest()


def count(model: Codec) -> int:
    """Return how many weights a model has."""
    return sum(parameter.numel() for parameter in model.parameters())


def averaged(out: Path) -> Codec:
    """Return the moving average of a trained variant.

    Raises:
        BundleCorrupt: the checkpoint is damaged.
    """
    model, _ = load_model(out / CHECKPOINT)
    return model.eval().requires_grad_(False)


def first_difference(a: Any, b: Any, name: str = "") -> str | None:
    """Return the dotted name of the first place where two JSON values differ, None where they are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            found = first_difference(a.get(key), b.get(key), f"{name}.{key}" if name else key)
            if found is not None:
                return found
        return None
    return None if a == b else name
