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

UP, DOWN, SCALE, DELTA = ".up", ".down", ".scale", ".delta"
"""Suffixes. To a matrix (convolutions: outputs x all else) up · diag(scale) · down is added, of int8 (outputs, R),
float32 (R,) and int8 (R, all else); to a vector its delta, float16."""
_STEPS = 127
_NOISE = 1e-4
"""Of a matrix's largest singular value: below it a direction is what rounding made."""


def factor(old: Mapping[str, Tensor], new: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Return what leads from weights to others in about `size` bytes.

    Vectors come whole. Of the matrices those directions are kept that change most for their bytes, relative to how
    large the matrix's weights are; what did not change is left out.

    Raises:
        UsageError: the vectors alone are larger, or the weights are those of another model or not finite.
    """
    found: dict[str, Tensor] = {}
    parts: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    offered: list[tuple[float, str, int]] = []
    left = size
    for name, before in old.items():
        after = new.get(name)
        if after is None or after.shape != before.shape:
            raise UsageError(f"the weights are those of different models: see {name}")
        delta = after.float() - before.float()
        if not bool(delta.isfinite().all()):
            raise UsageError(f"the new weights are not finite: see {name}")
        if not bool(delta.any()):
            continue
        if delta.ndim < 2:
            found[name + DELTA] = delta.half()
            left -= 2 * delta.numel()
            continue
        matrix = delta.flatten(1)
        cost = sum(matrix.shape) + 4
        parts[name] = torch.linalg.svd(matrix, full_matrices=False)
        values = parts[name][1]
        values = values[values > _NOISE * values[0]]
        relative = values.square() / before.float().square().mean().clamp_min(1e-12)
        offered += [(value / cost, name, cost) for value in relative.tolist()]
    if left < 0:
        raise UsageError(f"{size} bytes are too few: vectors alone take {size - left}")
    ranks = dict.fromkeys(parts, 0)
    for _, name, cost in sorted(offered, key=lambda offer: -offer[0]):
        if cost > left:
            break
        left -= cost
        ranks[name] += 1  # singular values fall: a matrix's directions come in order
    for name, rank in ranks.items():
        if rank:
            outputs, values, inputs = parts[name]
            up, down = outputs[:, :rank], inputs[:rank]
            heights, widths = up.abs().amax(0) / _STEPS, down.abs().amax(1) / _STEPS
            found[name + UP] = (up / heights).round().to(torch.int8).contiguous()
            found[name + DOWN] = (down / widths[:, None]).round().to(torch.int8).contiguous()
            found[name + SCALE] = (values[:rank] * heights * widths).contiguous()
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
        if before is None or "." + kind not in (UP, DOWN, SCALE, DELTA):
            raise ValueError(f"{key} adds to nothing")
        if "." + kind in (DOWN, SCALE):
            if name + UP not in addition:
                raise ValueError(f"{key} without {name + UP}")
            continue
        added = part.float() if "." + kind == DELTA else _product(name, part, addition, before.shape)
        if added.shape != before.shape or not bool(added.isfinite().all()):
            raise ValueError(f"{key} does not fit {name}, or is not finite")
        result[name] = result[name] + added
    return result


def _product(name: str, up: Tensor, addition: Mapping[str, Tensor], shape: torch.Size) -> Tensor:
    """Return the product of a matrix's factors, in the shape of its weights if it is theirs."""
    down, scale = addition.get(name + DOWN), addition.get(name + SCALE)
    if down is None or scale is None:
        raise ValueError(f"{name + UP} without {name + DOWN} or {name + SCALE}")
    if up.ndim != 2 or down.ndim != 2 or scale.ndim != 1 or not up.shape[1] == len(down) == len(scale):
        raise ValueError(f"{name + UP}, {name + DOWN} and {name + SCALE} do not fit each other")
    product = (up.float() * scale.float()) @ down.float()
    ours = len(shape) > 1 and product.shape == (shape[0], shape[1:].numel())
    return product.view(shape) if ours else product
