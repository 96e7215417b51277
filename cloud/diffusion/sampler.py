"""Few-step sampling that starts from the coarse latent plus noise, with noise both ends of a test can repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

TRAIN_TIMESTEPS = 1000
START_TIMESTEP = 499  # half way: noise about as strong as the latent's finer components
MAX_STEPS = 50


def make_scheduler() -> Any:
    """Return the noise schedule: scaled-linear as in Stable Diffusion, clean-latent prediction, deterministic.

    A diffusers scheduler; its classes are untyped.
    """
    make: Any = DDIMScheduler
    return make(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="sample",
        timestep_spacing="trailing",
    )


def frame_noise(stream: str, frame: int, shape: tuple[int, ...]) -> Tensor:
    """Return standard normal noise of `shape`, the same on every machine for one (stream, frame).

    NumPy's Philox is counter-based and its normal method is stable across platforms; torch's generators
    differ between CPU and CUDA.
    """
    key = hashlib.sha256(f"{stream}\0{frame}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    coarse: Tensor,
    noise: Tensor,
    steps: int,
    start: str = "coarse",
) -> Tensor:
    """Denoise from `coarse` (B, K, h, w) plus `noise` in 1 to 50 steps; return the clean latent.

    Args:
        predict: maps (noisy latent, timesteps (B,)) to the predicted clean latent.
        coarse: the guess before diffusion.
        noise: standard normal, coarse's shape.
        steps: number of denoising steps.
        start: "coarse", or "noise" alone at the schedule's beginning (the paper's way; for comparison).

    Raises:
        ValueError: if `steps` is out of range.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps must be 1 to {MAX_STEPS}, got {steps}")
    scheduler = make_scheduler()
    if start == "noise":
        scheduler.set_timesteps(steps)
        return _denoise(scheduler, scheduler.timesteps, predict, noise)
    # "Trailing" spacing over twice the steps puts the second half's first step exactly on START_TIMESTEP.
    scheduler.set_timesteps(steps * 2)
    # The scheduler's own add_noise copies its table to the device: a wait in every frame, and no CUDA graph.
    kept = scheduler.alphas_cumprod[START_TIMESTEP]
    latent: Tensor = kept**0.5 * coarse + (1 - kept) ** 0.5 * noise
    return _denoise(scheduler, scheduler.timesteps[steps:], predict, latent)


def _denoise(
    scheduler: Any, timesteps: Tensor, predict: Callable[[Tensor, Tensor], Tensor], latent: Tensor
) -> Tensor:
    clean = latent
    for timestep in timesteps:
        batch = torch.full((len(latent),), int(timestep), device=latent.device, dtype=torch.int64)
        step = scheduler.step(predict(latent, batch), timestep, latent)
        latent, clean = step.prev_sample, step.pred_original_sample
    # Where twice the steps do not divide the schedule, DDIM's own last step stops one short of clean.
    return clean
