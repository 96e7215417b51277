"""Carry a model's per-quality tables over to another set of rate weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PER_QUALITY = ("log_gain", "quality", "decoder.b1", "decoder.b4", "z_mean", "z_log_scale")
"""Endings of the names of tensors whose first axis is the quality index."""
_EXTRAPOLATED = ("log_gain", "decoder.b4", "z_log_scale")


def is_per_quality(name: str) -> bool:
    """Say whether a parameter is a table over quality indices."""
    return name.endswith(PER_QUALITY)


def respread(table: Tensor, name: str, old: Sequence[float], new: Sequence[float]) -> Tensor:
    """Return `table` (Q, ...) of a model trained with rate weights `old` at the rate weights `new`.

    Tables are read as functions of log λ: linear between the old points. Beyond them gains and scales go on along
    the table's overall slope (a rate weight three times as large still means a coarser step); the others stay at
    their last value.

    Raises:
        ValueError: if there are not as many weights as rows, or the old ones do not fall.
    """
    rows = table.detach().double().reshape(len(table), -1).numpy()
    if len(old) != len(rows) or len(new) != len(rows):
        raise ValueError(f"{name}: {len(rows)} rows, {len(old)} old and {len(new)} new rate weights")
    x = -np.log(np.asarray(old, np.float64))
    if not (np.diff(x) > 0).all():
        raise ValueError(f"rate weights must fall: {list(old)}")
    wanted = -np.log(np.asarray(new, np.float64))
    inside = wanted.clip(x[0], x[-1])
    out = np.stack([np.interp(inside, x, column) for column in rows.T], 1)
    if name.endswith(_EXTRAPOLATED):
        slope = ((x - x.mean())[:, None] * (rows - rows.mean(0))).sum(0) / ((x - x.mean()) ** 2).sum()
        out = out + (wanted - inside)[:, None] * slope
    return torch.from_numpy(out).reshape(table.shape).to(table.dtype)
