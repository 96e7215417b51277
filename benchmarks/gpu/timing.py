"""Keep time on a device: variants of running one network, CUDA graphs, medians and tails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import UsageError

MIN_RUNS = 5
_WARM_UP_GRAPH = 3


@dataclass(frozen=True)
class Variant:
    """Say how a network is run; the answer is the same up to rounding.

    Attributes:
        name: for reports and `--variants`.
        precision: fp32, tf32, bf16 or fp16; the last two by autocast, weights stored in that type.
        channels_last: memory layout of weights and activations.
        compiled: torch.compile on the networks inside (not on the sampler's loop).
        graph: captured once as a CUDA graph and replayed: no launch costs.
    """

    name: str
    precision: str = "fp32"
    channels_last: bool = True
    compiled: bool = False
    graph: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the weights of convolutions and linear layers."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)


AS_SERVED = Variant("fp32")
"""What `cloud/decoder.py` does today: float32, channels last, eager."""

CUDA_VARIANTS = (
    AS_SERVED,
    Variant("tf32", "tf32"),
    Variant("bf16", "bf16"),
    Variant("fp16", "fp16"),
    Variant("fp16-contiguous", "fp16", channels_last=False),
    Variant("tf32-graph", "tf32", graph=True),
    Variant("bf16-graph", "bf16", graph=True),
    Variant("fp16-graph", "fp16", graph=True),
    Variant("fp16-contiguous-graph", "fp16", channels_last=False, graph=True),
    Variant("fp16-compile", "fp16", compiled=True),
    Variant("fp16-compile-graph", "fp16", compiled=True, graph=True),
)
CPU_VARIANTS = (AS_SERVED, Variant("fp32-contiguous", channels_last=False))


def pick_variants(names: str | None, available: Iterable[Variant]) -> tuple[Variant, ...]:
    """Return the variants of a comma-separated list of names; None means all. What is served always runs.

    Raises:
        UsageError: an unknown name.
    """
    known = {variant.name: variant for variant in available}
    if names is None:
        return tuple(known.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise UsageError(f"--variants {names!r}: no {name!r} on this device ({', '.join(known)})")
    return tuple(v for v in known.values() if v.name in wanted or v is AS_SERVED)


@dataclass(frozen=True)
class Timing:
    """Hold the times of one call, in milliseconds a frame.

    Attributes:
        median, p95: wall clock, from the call to the device having finished.
        device_median: between two events on the device; None on the CPU.
        runs: timed calls.
    """

    median: float
    p95: float
    device_median: float | None
    runs: int


def time_calls(
    call: Callable[[], Any], device: torch.device, batch: int, warm_up: int, repeat: int, seconds: float
) -> Timing:
    """Time `call`, one at a time, the device idle before and finished after each.

    Args:
        call: computes `batch` frames.
        device: where.
        batch: frames a call; times are divided by it.
        warm_up: untimed calls before.
        repeat: timed calls.
        seconds: stop earlier after so long, but not before five calls.
    """
    for _ in range(warm_up):
        call()
    cuda = device.type == "cuda"
    wall: list[float] = []
    own: list[float] = []
    began = time.perf_counter()
    while len(wall) < repeat and (len(wall) < MIN_RUNS or time.perf_counter() - began < seconds):
        if cuda:
            event: Any = torch.cuda.Event  # untyped in torch
            before, after = event(enable_timing=True), event(enable_timing=True)
            torch.cuda.synchronize(device)
            start = time.perf_counter()
            before.record()
            call()
            after.record()
            torch.cuda.synchronize(device)
            wall.append(time.perf_counter() - start)
            own.append(before.elapsed_time(after))
        else:
            start = time.perf_counter()
            call()
            wall.append(time.perf_counter() - start)
    ms = np.array(wall) * 1e3 / batch
    device_median = float(np.median(own)) / batch if own else None
    return Timing(float(np.median(ms)), float(np.percentile(ms, 95)), device_median, len(wall))


def graphed(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Capture `call` as a CUDA graph; the returned function replays it and returns the same output tensor.

    The inputs are those that `call` holds; it must not copy from or to the host.
    """
    make: Any = torch.cuda.Stream  # untyped in torch
    stream = make()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_GRAPH):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = call()

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay


def agreement_db(reference: Tensor, other: Tensor) -> float | None:
    """Return the PSNR in dB (at most 100) of two images in [-1, 1]; None where one is not finite."""
    a, b = reference.float().cpu().clamp(-1, 1), other.float().cpu()
    if not torch.isfinite(b).all():
        return None
    mse = float((a - b.clamp(-1, 1)).square().mean())
    return 100.0 if mse == 0 else min(100.0, 10 * float(np.log10(4 / mse)))
