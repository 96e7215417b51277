"""The refiner trained together with the codec: what its packets would tell it, and the two as one model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

from cloud.models.codec import Codec, ModelConfig
from cloud.models.refiner import Refiner
from common.bundle import Bundle
from common.entropy.refinement import DEAD_ZONE, UNIT
from common.errors import UsageError
from common.luma import BLOCK

_DC_UNIT = 4096.0 * UNIT


def refinement_tables(bundle: str | None) -> dict[str, NDArray[np.generic]]:
    """Return the refinement arrays of a bundle, by name or folder; None is the shipped one.

    Raises:
        BundleError: it is not there or damaged.
    """
    arrays = load_file(Bundle.load(bundle).file("entropy.safetensors"))
    return {name: value for name, value in arrays.items() if name.startswith("refine_")}


class Finished(Codec):
    """A codec with a refiner behind it. A checkpoint of it also holds a codec's weights, under their names."""

    def __init__(self, config: ModelConfig, width: int, wide: int) -> None:
        super().__init__(config)
        self.refiner = Refiner(width, wide)


class Teller(nn.Module):
    """Quantise luma coefficients as the encoder does (common.entropy.refinement), for batches and on any device.

    Only the rare levels that the coder skips are told all the same.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], channels: int) -> None:
        """Take a bundle's refinement arrays and its number of latent channels.

        Raises:
            UsageError: there are none.
        """
        super().__init__()
        if "refine_step" not in arrays:
            raise UsageError("the bundle has no refinement, so its tables cannot be trained with")
        row = np.asarray(arrays["refine_row"])
        steps = np.asarray(arrays["refine_step"], np.float32).reshape(-1, BLOCK * BLOCK) / UNIT
        steps = np.where(row[:, None] >= 0, steps[row.clip(0)], 0).astype(np.float32)
        dc = np.asarray(arrays["refine_dc"], np.float64)
        weights = dc[:-1].reshape(3, 3, channels).transpose(2, 0, 1)[None] * (16 / _DC_UNIT)
        self.register_buffer("steps", torch.from_numpy(steps), persistent=False)
        self.register_buffer("dc", torch.from_numpy(weights.astype(np.float32)), persistent=False)
        self.bias = float(dc[-1] / _DC_UNIT)
        self.register_buffer(
            "latents", torch.from_numpy(np.asarray(arrays["refine_latents"], np.int64)), persistent=False
        )

    @torch.no_grad()
    def forward(self, coefficients: Tensor, quality: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (low, high (B, 256, H/16, W/16), steps (B, 256, 1, 1)), as `cloud.models.refiner.intervals`.

        Args:
            coefficients: (B, 256, H/16, W/16) of the luma of the main views (`Projection.coefficients`).
            quality: (B,) int64; at those that have no refinement nothing is bounded.
            y_hat: (B, C, H/16, W/16) decoded latents.
        """
        steps = self.get_buffer("steps")[quality][:, :, None, None]
        with torch.autocast(y_hat.device.type, enabled=False):
            around = F.pad(y_hat.float(), (1, 1, 1, 1), mode="replicate")
            guess = F.conv2d(around, self.get_buffer("dc")) + self.bias
        first = steps[:, :1]
        safe = first.clamp_min(1e-6)
        mean = torch.zeros_like(coefficients)
        mean[:, :1] = torch.floor(guess / safe + 0.5) * first
        x = coefficients.float() - mean
        k = x.sign() * torch.floor(x.abs() / steps.clamp_min(1e-6) + (1 - DEAD_ZONE))
        low = torch.where(k > 0, k - 1 + DEAD_ZONE, torch.where(k < 0, k - DEAD_ZONE, -DEAD_ZONE + 0 * k))
        high = torch.where(k > 0, k + DEAD_ZONE, torch.where(k < 0, k + 1 - DEAD_ZONE, DEAD_ZONE + 0 * k))
        sent = (steps > 0).expand_as(low)
        none = torch.full_like(low, torch.inf)
        return (
            torch.where(sent, low * steps + mean, -none),
            torch.where(sent, high * steps + mean, none),
            steps,
        )
