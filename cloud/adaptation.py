"""Other weights for one network, as a small addition to its own: low-rank adaptation (Hu et al., ICLR 2022).

Frames coded at double size look like nothing else that the decoder gets, and one set of weights has to serve all. A
second set is as large as the first, but what further training changes is simple: of each weight matrix a few
directions. They are found after training, by singular values, so that training itself knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from common.errors import UsageError

UP, DOWN, DELTA = ".up", ".down", ".delta"
"""Suffixes: two factors of what is added to a matrix (convolutions: outputs x all else), or all of it."""


def factor(old: Mapping[str, Tensor], new: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Return what leads from weights to others, in factors of at most `rank` directions, float16.

    Tensors that such factors do not make smaller are kept whole; those that did not change are left out.

    Raises:
        UsageError: a rank below 1, or the weights are those of another model.
    """
    if rank < 1:
        raise UsageError(f"rank {rank}: expected 1 or more")
    found: dict[str, Tensor] = {}
    for name, before in old.items():
        after = new.get(name)
        if after is None or after.shape != before.shape:
            raise UsageError(f"the weights are those of different models: see {name}")
        delta = after.float() - before.float()
        if not bool(delta.any()):
            continue
        matrix = delta.flatten(1) if delta.ndim > 1 else delta.reshape(-1, 1)
        if rank * sum(matrix.shape) >= matrix.numel():
            found[name + DELTA] = delta.half().contiguous()
            continue
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        root = values[:rank].sqrt()
        found[name + UP] = (left[:, :rank] * root).half().contiguous()
        found[name + DOWN] = (root[:, None] * right[:rank]).half().contiguous()
    return found


def adapted(weights: Mapping[str, Tensor], addition: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with an addition (of `factor`), float32.

    Raises:
        ValueError: the addition does not fit the weights.
    """
    result = {name: value.float() for name, value in weights.items()}
    for key, part in addition.items():
        name, _, kind = key.rpartition(".")
        before = weights.get(name)
        if before is None or "." + kind not in (UP, DOWN, DELTA):
            raise ValueError(f"{key} adds to nothing")
        if "." + kind == DOWN:
            if name + UP not in addition:
                raise ValueError(f"{key} without {name + UP}")
            continue
        added = part.float()
        if "." + kind == UP:
            down = addition.get(name + DOWN)
            if down is None or part.ndim != 2 or down.ndim != 2 or part.shape[1] != down.shape[0]:
                raise ValueError(f"{key} and {name + DOWN} do not fit each other")
            added = added @ down.float()
            if added.numel() != before.numel() or len(added) != len(before):
                raise ValueError(f"{key} does not fit {name}")
            added = added.view(before.shape)
        if added.shape != before.shape or not bool(added.isfinite().all()):
            raise ValueError(f"{key} does not fit {name}, or is not finite")
        result[name] = result[name] + added
    return result
