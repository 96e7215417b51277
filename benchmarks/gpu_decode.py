"""`python -m benchmarks gpu-decode`, or this file run as a script: milliseconds a frame of the decoder's network.

Ours, from latents and side view on the device to the picture on the device, at two sizes, three batch sizes and three
numbers of steps, in every way of running it that the device offers; beside it a UNet and VAE of Stable Diffusion 2.1's
size with ten steps and guidance, in the same run. Weights are random unless --bundle names some: time does not
depend on them.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: its folder is on the path, the checkout is not
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from benchmarks import report
from benchmarks.encode import parse_size
from benchmarks.gpu.summary import best, goal, notes, table
from benchmarks.rd.results import write_json
from common.cli import run_main
from common.errors import MissingDependency, UsageError

SIZES, BATCHES, STEPS = "128x256,384x1248", "1,4,16", "1,2,4"
SMALL = {"sizes": "64x128", "batches": "1", "steps": "1,2", "repeat": 5, "seconds": 20.0, "warm_up": 1}
FULL = {"sizes": SIZES, "batches": BATCHES, "steps": STEPS, "repeat": 50, "seconds": 2.0, "warm_up": 5}
REFERENCE_VARIANTS = ("fp16", "fp16-graph", "fp16-compile-graph", "fp32")


class DiffusersMissing(MissingDependency):
    """Neither our denoiser nor the reference can be built."""

    def __init__(self) -> None:
        super().__init__("diffusers", "cloud")
        hint = "our denoiser is one of its UNets, so nothing can be timed without it; on a machine without a network"
        self.args = (f"{self.args[0]} ({hint} bring the wheels of diffusers and importlib_metadata along)",)


def main(argv: list[str] | None = None) -> int:
    """Time everything asked for; the table goes to stdout, every row to --json as soon as it is there."""
    arguments = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("diffusers") is None:
        raise DiffusersMissing
    import torch

    from benchmarks.gpu import timing
    from benchmarks.gpu.subjects import OurDecoder, count

    device = pick_device(options.device, options.small, options.sizes is not None)
    cuda = device.type == "cuda"
    defaults = SMALL if options.small else FULL
    settings = {
        key: value if (given := getattr(options, key)) is None else given for key, value in defaults.items()
    }
    sizes = [parse_size(text) for text in str(settings["sizes"]).split(",")]
    batches, steps = numbers("--batches", settings["batches"]), numbers("--steps", settings["steps"])
    variants = timing.pick_variants(options.variants, timing.CUDA_VARIANTS if cuda else timing.CPU_VARIANTS)
    ours = OurDecoder(options.bundle, device)
    reference = make_reference(options.reference, device, options.small)
    document: dict[str, Any] = report.describe_run(
        report.command_line("benchmarks", ["gpu-decode", *arguments]), seed=0
    ) | {
        "complete": False,
        "device": torch.cuda.get_device_name(device) if cuda else "CPU, " + str(report.machine()["cpu"]),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "settings": settings
        | {"compile_batches": options.compile_batches, "threads": torch.get_num_threads()},
        "ours": {
            "weights": ours.weights,
            "parameters": count(ours.model),
            "model": asdict(ours.model.config),
        },
        "reference": None if reference is None else reference.describe(),
        "notes": notes(options.small, reference is not None, ours.weights),
        "rows": [],
    }
    plan = jobs(sizes, batches, steps, variants, reference is not None, cuda, options.compile_batches)
    clock = {key: settings[key] for key in ("warm_up", "repeat", "seconds")}
    subjects = {"ours": ours, "reference": reference}
    with tqdm(total=len(plan), unit="timing", desc=f"gpu-decode {device.type}", disable=None) as bar:
        for job in plan:
            bar.set_postfix_str(
                f"{job['what']} {job['height']}x{job['width']} {job['variant']}", refresh=False
            )
            document["rows"].append(run_job(subjects[job["what"]], job, device, clock))
            if options.json is not None:
                write_json(options.json, document)
            bar.update()
    document |= {"complete": True, "best": best(document["rows"])}
    document["goal"] = goal(document["best"], document["device"])
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return 0


def pick_device(name: str, small: bool, sized: bool) -> Any:
    """Return the torch device.

    Raises:
        UsageError: CUDA is asked for and not there, or the full run would land on the CPU unasked.
    """
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError("--device cuda: torch sees no CUDA device here")
    if name == "auto" and not there and not (small or sized):
        raise UsageError(
            "no CUDA device here: --small runs a tiny case on the CPU, --device cpu the whole of it"
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def make_reference(choice: str, device: Any, small: bool) -> Any:
    """Return the latent diffusion model to time beside ours, None for none.

    `auto`: full size on CUDA, scaled down with --small, none elsewhere (minutes a frame on a CPU).
    """
    from benchmarks.gpu.subjects import LatentDiffusion

    if choice == "auto":
        choice = "tiny" if small else "full" if device.type == "cuda" else "none"
    return None if choice == "none" else LatentDiffusion(device, tiny=choice == "tiny")


def jobs(
    sizes: Sequence[tuple[int, int]],
    batches: Sequence[int],
    steps: Sequence[int],
    variants: Iterable[Any],
    with_reference: bool,
    cuda: bool,
    compile_batches: Sequence[int],
) -> list[dict[str, Any]]:
    """Return what is timed, in order: for every size and batch ours at every step count, then the reference."""
    from benchmarks.gpu.subjects import SD_STEPS

    plan: list[dict[str, Any]] = []
    for height, width in sizes:
        for batch in batches:
            place = {"height": height, "width": width, "batch": batch}
            usable = [v for v in variants if not v.compiled or batch in compile_batches]
            for count in steps:
                plan += [
                    {"what": "ours", **place, "steps": count, "variant": v.name, "how": v} for v in usable
                ]
            if with_reference:
                fitting = [
                    v for v in usable if v.name in REFERENCE_VARIANTS and (v.dtype.itemsize == 2) == cuda
                ]
                plan += [
                    {"what": "reference", **place, "steps": SD_STEPS, "variant": v.name, "how": v}
                    for v in fitting
                ]
    return plan


def run_job(subject: Any, job: dict[str, Any], device: Any, clock: dict[str, Any]) -> dict[str, Any]:
    """Time one job and return its row; a variant that this device or torch cannot run says so in `failed`.

    Ours is also compared with its float32 answer: fast and wrong must show.
    """
    import torch

    from benchmarks.gpu import timing

    variant = job["how"]
    row = {key: value for key, value in job.items() if key != "how"}
    inputs = subject.inputs(job["height"], job["width"], job["batch"])
    try:
        plain = subject.call(variant, inputs, job["steps"])
        call: Callable[[], Any] = timing.graphed(plain) if variant.graph else plain
        timed = timing.time_calls(call, device, job["batch"], **clock)
        if job["what"] == "ours":
            exact = subject.call(timing.AS_SERVED, inputs, job["steps"])()
            row["psnr_to_fp32"] = timing.agreement_db(exact, call())
        row |= {
            "median_ms": timed.median,
            "p95_ms": timed.p95,
            "device_ms": timed.device_median,
            "runs": timed.runs,
        }
    except Exception as why:
        if variant is timing.AS_SERVED:
            raise  # what the product runs must run; the others are options
        row["failed"] = f"{type(why).__name__}: {' '.join(str(why).split())[:200]}"
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return row


def numbers(option: str, text: Any) -> tuple[int, ...]:
    """Read `1,4,16`.

    Raises:
        UsageError: anything else, or a number below 1.
    """
    parts = [part.strip() for part in str(text).split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{option} {text!r}: expected numbers from 1 up, separated by commas")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu-decode", description=__doc__)
    add = parser.add_argument
    add(
        "--small",
        action="store_true",
        help="a tiny size, batch 1, a scaled-down reference: for trying it on a CPU",
    )
    add("--sizes", help=f"HEIGHTxWIDTH, comma-separated (default {SIZES})")
    add("--batches", help=f"frames at once (default {BATCHES})")
    add("--steps", help=f"denoising steps of ours (default {STEPS})")
    add(
        "--variants",
        help="ways of running ours, comma-separated (default: all; fp32, as served, always runs)",
    )
    add(
        "--compile-batches",
        type=lambda text: numbers("--compile-batches", text),
        default=(1,),
        help="batches for which torch.compile is tried too (default 1: it takes a minute a size)",
    )
    add(
        "--reference",
        choices=("auto", "full", "tiny", "none"),
        default="auto",
        help="the model timed beside ours",
    )
    add("--bundle", help="weights of this bundle (default: random ones)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--repeat", type=int, help="timed calls of each (default 50)")
    add("--warm-up", type=int, help="untimed calls before (default 5)")
    add(
        "--seconds", type=float, help="stop timing one thing after so long, not before five calls (default 2)"
    )
    add("--json", type=Path, help="write every row to this file, kept up to date")
    return parser


if __name__ == "__main__":
    run_main(main)
