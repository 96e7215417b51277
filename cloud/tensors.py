"""A bundle's weights as a file: float16, or eight bits and a step for each output.

Eight bits halve what the decoder takes, and leave room for what is added to its weights for some frames
(cloud.adaptation). Each output of a matrix or convolution has a step of its own, so that its largest weight is 127
steps; vectors stay float16, and so does all that the edge has too, which has to be the same on both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from common.errors import UsageError

STEP = ".step"
"""Suffix of a matrix's steps, float32 (outputs,)."""
_MOST = 127


def write_tensors(path: Path, weights: Mapping[str, Tensor], eight_bits: Collection[str] = ()) -> None:
    """Write weights, those named in `eight_bits` in eight bits, all others as float16.

    Raises:
        UsageError: a weight to be written in eight bits is a vector, or not finite.
    """
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name not in eight_bits:
            stored[name] = value.half().contiguous()
            continue
        if value.ndim < 2 or not bool(value.isfinite().all()):
            raise UsageError(f"{name} cannot be written in eight bits: it is a vector, or not finite")
        rows = value.float().flatten(1)
        step = rows.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / _MOST
        stored[name] = (rows / step[:, None]).round().to(torch.int8).view(value.shape).contiguous()
        stored[name + STEP] = step
    save_file(stored, path)
    path.chmod(0o644)  # safetensors writes files only their owner can read


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return what `write_tensors` wrote, as float32.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: it is damaged.
        ValueError: weights in eight bits without their steps, or steps that do not fit.
    """
    stored = load_file(path)
    steps = {name for name, value in stored.items() if value.dtype == torch.int8}
    weights: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name not in steps:
            if name.removesuffix(STEP) not in steps:
                weights[name] = value.float()
            continue
        step = stored.get(name + STEP)
        if step is None or not value.ndim or step.shape != value.shape[:1] or not step.is_floating_point():
            raise ValueError(f"{name} has no steps that fit")
        weights[name] = value.float() * step.float().view(-1, *[1] * (value.ndim - 1))
    return weights
