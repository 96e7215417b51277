"""Begin a training with a bundle's weights: what ships can be trained further, without the checkpoint it came from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cloud.models.hyperprior import laplace_bits
from cloud.tensors import read_tensors
from common.bundle import Bundle
from common.entropy.coder import PROBABILITY_TOTAL
from common.errors import BundleCorrupt

_FIT_STEPS = 600


def bundle_weights(bundle: Bundle, model: nn.Module) -> dict[str, Tensor]:
    """Return float32 weights of a bundle under the names of a training checkpoint's model.

    The hyperprior's come from the integers of the entropy coder, and the distributions of the hyper-latents are fitted
    to their tables. What no bundle holds (for training only), and what has another shape in `model`, is left out.

    Raises:
        BundleCorrupt: a file does not open, or lacks a tensor.
    """
    try:
        weights = read_tensors(bundle.file("decoder.safetensors"))
        arrays = load_file(bundle.file("entropy.safetensors"))
        refiner = "refiner.safetensors"
        if refiner in bundle.manifest["files"]:
            found = load_file(bundle.file(refiner))
            weights |= {f"refiner.{name}": value.float() for name, value in found.items()}
        weights |= _hyperprior(arrays)
    except (OSError, KeyError, ValueError, SafetensorError) as why:
        raise BundleCorrupt(bundle.path, f"{type(why).__name__}: {why}") from why
    wanted = model.state_dict()
    return {
        name: value for name, value in weights.items() if name in wanted and value.shape == wanted[name].shape
    }


def _hyperprior(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the hyperprior's parameters, the inverse of `HyperDecoder.integers` and of the bundle's tables."""
    prior = "hyperprior."
    found: dict[str, Tensor] = {}
    for layer in (1, 2, 3, 4):
        found[f"{prior}decoder.w{layer}"] = arrays[f"w{layer}"].float() / 64
        found[f"{prior}decoder.b{layer}"] = arrays[f"b{layer}"].float() / (64 if layer == 1 else 1024)
    mean, log_scale = fit_laplace(arrays["z_cdf"].numpy())
    return found | {f"{prior}z_mean": mean, f"{prior}z_log_scale": log_scale}


def fit_laplace(cdf: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
    """Return means and logarithms of scales (Q, Z) whose tables come nearest to cumulative ones (Q, Z, 2 * max + 3)."""
    share = torch.from_numpy(np.diff(cdf.astype(np.float64), axis=-1) / PROBABILITY_TOTAL)[..., :-1]
    share = share / share.sum(-1, keepdim=True)
    most = (share.shape[-1] - 1) // 2
    value = torch.arange(-most, most + 1, dtype=torch.float64)
    mean = (share * value).sum(-1)
    spread = (share * (value - mean[..., None]).abs()).sum(-1)
    parameters = [mean.clone().requires_grad_(), spread.clamp_min(0.05).log().requires_grad_()]
    optimizer = torch.optim.Adam(parameters, lr=0.03)
    for _ in range(_FIT_STEPS):
        scale = parameters[1].clamp(-4, 5).exp()[..., None]
        bits = laplace_bits(value - parameters[0][..., None], scale)
        # Of what lies within the table: wide distributions reach beyond.
        loss = ((share * bits).sum(-1) + torch.exp2(-bits).sum(-1).log2()).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return parameters[0].detach().float(), parameters[1].detach().float()
