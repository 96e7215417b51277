"""Checkpoints: safetensors and JSON, written atomically, resumable; never a pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cloud.models.codec import Codec, ModelConfig
from common.errors import BundleCorrupt


def save_checkpoint(
    path: Path,
    model: nn.Module,
    ema: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
    critic: dict[str, Tensor] | None = None,
) -> None:
    """Write model, EMA weights, optimizer moments, JSON-able facts and a critic's weights to one safetensors file."""
    tensors = {f"model.{name}": value.detach().contiguous() for name, value in model.state_dict().items()}
    tensors.update({f"ema.{name}": value.contiguous() for name, value in ema.items()})
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value).detach().clone().contiguous()
    tensors.update({f"critic.{name}": value.contiguous() for name, value in (critic or {}).items()})
    temporary = path.with_suffix(".partial")
    save_file(tensors, temporary, metadata={"facts": json.dumps(facts)})
    os.replace(temporary, path)


def load_checkpoint(
    path: Path, model: nn.Module, ema: dict[str, Tensor] | None, optimizer: torch.optim.Optimizer | None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote; return the facts.

    Weights whose names or shapes changed keep their present values, so a run can start from a smaller model's; the
    optimizer is restored only when every weight fitted.

    Raises:
        BundleCorrupt: if the file does not open.
    """
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as why:
        raise BundleCorrupt(str(path), str(why)) from why
    current = model.state_dict()
    fitted = {n: tensors[f"model.{n}"] for n, v in current.items() if _fits(tensors, f"model.{n}", v)}
    model.load_state_dict({**current, **fitted})
    if ema is not None:
        for name, value in ema.items():
            value.copy_(
                tensors[f"ema.{name}"] if _fits(tensors, f"ema.{name}", value) else model.state_dict()[name]
            )
    facts["fitted"], facts["wanted"] = len(fitted), len(current)
    if optimizer is not None and len(fitted) == len(current):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = value
        if state:
            packed = optimizer.state_dict()
            packed["state"] = state
            optimizer.load_state_dict(packed)
    return facts


def _fits(tensors: dict[str, Tensor], name: str, value: Tensor) -> bool:
    return name in tensors and tensors[name].shape == value.shape


def load_critic(path: Path) -> dict[str, Tensor]:
    """Return the critic's weights in a checkpoint that opens; empty if it has none."""
    with safe_open(path, "pt") as file:
        names = [name for name in file.keys() if name.startswith("critic.")]  # noqa: SIM118
        return {name.removeprefix("critic."): file.get_tensor(name) for name in names}


def load_model(checkpoint: Path) -> tuple[Codec, dict[str, Any]]:
    """Return the averaged model of a training checkpoint, and the run's facts.

    Raises:
        BundleCorrupt: if the file cannot be read or does not hold a model.
    """
    try:
        with safe_open(checkpoint, "pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
            model = Codec(ModelConfig(**facts["config"]["model"]))
            model.load_state_dict({name: file.get_tensor(f"ema.{name}") for name in model.state_dict()})
    except Exception as why:
        raise BundleCorrupt(checkpoint, f"{type(why).__name__}: {why}") from why
    return model, facts


def load_refiner(checkpoint: Path) -> dict[str, Tensor]:
    """Return the averaged weights of the refiner trained along in a checkpoint that opens; empty if there is none."""
    prefix = "ema.refiner."
    with safe_open(checkpoint, "pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
