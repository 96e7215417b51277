"""`python -m cloud.restoration.train`: train the restorer of lossy side views and measure it on held-out drives."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from cloud.training.losses import AlexDistance
from cloud.training.precision import mixed
from common.cli import run_main
from common.datasets.images import list_images, read_image
from common.errors import DatasetError, UsageError
from common.types import RgbImage

from .degrade import AV1, AV1_HALF, HALF, HEVC, JPEG, Coding, code, draw_coding
from .gauge import fit_gauge
from .network import Restorer, load_restorer, restore, save_restorer

CROP = (128, 256)
SCALES = (0.33, 1.0)
"""From the paper's 128x256, where a whole view is reduced to a third, to full size."""
MEASURED = tuple(
    [Coding(JPEG, quality) for quality in (90, 75, 50, 20)]
    + [Coding(HEVC, qp) for qp in (24, 34, 44)]
    + [Coding(HALF, 36), Coding(AV1, 50), Coding(AV1, 63), Coding(AV1_HALF, 56)]
)
_WARM_UP = 0.03
_L1, _MSE, _LPIPS, _TEXTURE, _FINE = 4.0, 20.0, 2.0, 1.0, 1.5


class Place(NamedTuple):
    """Where to look from: pixels left out above and to the left, and how much enlarged."""

    top: int
    left: int
    factor: float


_FLOOR = 0.1
"""A clean picture's distance from itself is 0: this is the unit for it."""


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(prog="python -m cloud.restoration.train", description=(__doc__ or "").strip())
    p.add_argument("--data", type=Path, required=True, help="folder of NAME/{left,right}/* pictures")
    p.add_argument("--metric-weights", type=Path, required=True, help="folder with the LPIPS-Alex weights")
    p.add_argument("--out", type=Path, required=True, help="where restorer.safetensors and .json go")
    p.add_argument(
        "--holdout", nargs="*", default=[], metavar="NAME", help="drives to measure on, never trained on"
    )
    p.add_argument("--minutes", type=float, default=20.0, help="length of the schedule")
    p.add_argument(
        "--steps", type=int, default=0, help="end after so many steps instead (repeatable to the bit)"
    )
    p.add_argument(
        "--plain",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="part of the schedule before LPIPS counts too",
    )
    p.add_argument(
        "--gauge", type=int, metavar="N", help="fit the gauge to N crops first (default: 4800; 0 with --from)"
    )
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=6e-4, help="highest learning rate")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument(
        "--ahead", type=int, default=1, help="threads that draw and code crops (a GPU wants a dozen)"
    )
    p.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    p.add_argument("--from", dest="start", type=Path, help="start from the restorer in this folder")
    p.add_argument("--json", action="store_true", help="print the report as JSON")
    return p


def read_drives(folder: Path, leave_out: Sequence[str]) -> tuple[list[RgbImage], list[RgbImage]]:
    """Return all pictures of the drives below `folder`, and the right views of those left out.

    Raises:
        DatasetError: nothing to train on, or an unknown name in `leave_out`.
        ImageUnreadable: a picture does not decode.
    """
    drives = sorted(path for path in folder.iterdir() if (path / "right").is_dir()) if folder.is_dir() else []
    unknown = sorted(set(leave_out) - {path.name for path in drives})
    if unknown:
        raise DatasetError(folder, f"no drive {unknown[0]} to hold out")
    kept: list[RgbImage] = []
    held: list[RgbImage] = []
    for drive in tqdm(drives, desc="reading", disable=None):
        out = drive.name in leave_out
        for view in ("right",) if out else ("left", "right"):
            pictures = [read_image(file) for file in list_images(drive / view).values()]
            (held if out else kept).extend(pictures)
    if not kept:
        raise DatasetError(folder, "no NAME/left and NAME/right folders to train on")
    return kept, held


def draw_crop(image: RgbImage, rng: random.Random) -> RgbImage:
    """Return a crop of 128x256 at a random scale, half the time mirrored."""
    rows, columns = CROP
    height, width = image.shape[:2]
    scale = max(rng.uniform(*SCALES), rows / height, columns / width)
    h, w = min(height, round(rows / scale)), min(width, round(columns / scale))
    top, left = rng.randint(0, height - h), rng.randint(0, width - w)
    cut = image[top : top + h, left : left + w]
    cut = cut[:, ::-1] if rng.random() < 0.5 else cut
    how = cv2.INTER_AREA if scale <= 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(cut), (columns, rows), interpolation=how), np.uint8)


def draw_batch(pictures: Sequence[RgbImage], count: int, rng: random.Random) -> tuple[Tensor, Tensor]:
    """Return (coded, original), each (count, 3, 128, 256) in [0, 1]."""
    originals = [draw_crop(rng.choice(pictures), rng) for _ in range(count)]
    coded = [code(original, draw_coding(rng)) for original in originals]
    stacks = [
        torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255 for views in (coded, originals)
    ]
    return stacks[0], stacks[1]


def distance(image: Tensor, wanted: Tensor, perceptual: AlexDistance | None, place: Place) -> Tensor:
    """Return (B,): squared and absolute error, LPIPS-Alex and texture, the last two also of the pictures enlarged.

    Seen from a given place and at a given scale, which change from batch to batch: AlexNet's first layer steps by
    four pixels, and from one place it would teach patterns that please it alone (E-LPIPS, Kettunen et al. 2019).
    Without `perceptual` squared and absolute error alone.
    """
    error = image - wanted
    plain = _L1 * error.abs().mean((1, 2, 3)) + _MSE * error.square().mean((1, 2, 3))
    if perceptual is None:
        return plain
    views = [view[:, :, place.top :, place.left :] for view in (image, wanted)]
    lpips, texture = perceptual(views[0], views[1])
    large = [
        F.interpolate(view, scale_factor=place.factor, mode="bicubic", align_corners=False) for view in views
    ]
    fine = sum(perceptual(large[0], large[1]), start=torch.zeros_like(lpips))
    total: Tensor = plain + _LPIPS * lpips + _TEXTURE * texture + _FINE * fine
    return total


def restoration_loss(
    image: Tensor, coded: Tensor, wanted: Tensor, perceptual: AlexDistance | None, rng: random.Random
) -> Tensor:
    """Return the mean distance of restored pictures (B, 3, H, W), each in units of what the codec had left.

    In plain units the badly coded pictures rule, and the network makes up texture in good ones, too.
    """
    place = Place(rng.randrange(8), rng.randrange(8), rng.uniform(1.25, 2.0))
    with torch.no_grad():
        left = distance(coded, wanted, perceptual, place)
    return (distance(image, wanted, perceptual, place) / (left + _FLOOR)).mean()


def train(
    restorer: Restorer, pictures: Sequence[RgbImage], perceptual: AlexDistance, args: argparse.Namespace
) -> dict[str, Any]:
    """Train in place; the moving average of the weights is what stays. Return the facts of the run."""
    rng = random.Random(args.seed)
    crops = args.gauge if args.gauge is not None else 4800 if args.start is None else 0
    gauged = fit_gauge(restorer.gauge, lambda: draw_batch(pictures, 4, rng), crops) if crops else None
    restorer.gauge.requires_grad_(False)
    learned = [value for value in restorer.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=args.rate, weight_decay=1e-4)
    average = {name: value.detach().clone() for name, value in restorer.state_dict().items()}
    started, step, smooth = time.monotonic(), 0, math.nan
    curve: list[list[float]] = []
    places = random.Random(args.seed + 1)
    hidden = not sys.stderr.isatty()
    drawn = itertools.count()
    with (
        ThreadPoolExecutor(args.ahead) as pool,
        tqdm(total=100, unit="%", desc="restorer", disable=hidden) as bar,
    ):

        def order() -> Future[tuple[Tensor, Tensor]]:
            # A generator for each batch: what is drawn does not depend on how many are drawn at once.
            own = random.Random(f"{args.seed}/{next(drawn)}")
            return pool.submit(draw_batch, pictures, args.batch, own)

        coming = deque(order() for _ in range(2 * args.ahead))
        while (done := _progress(step, started, args)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = (
                    args.rate * min(1.0, done / _WARM_UP + 0.01) * (0.5 + 0.5 * math.cos(math.pi * done))
                    + 1e-6
                )
            coded, wanted = (part.to(args.device) for part in coming.popleft().result())
            coming.append(order())
            coded = coded.contiguous(memory_format=torch.channels_last)
            with mixed(args.device):
                found = restorer(coded)
            # What is where comes first, and quickly; LPIPS then asks for texture.
            judge = perceptual if done >= args.plain else None
            loss = restoration_loss(found.float(), coded, wanted, judge, places)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(restorer.parameters(), 1.0)
            optimiser.step()
            step += 1
            with torch.no_grad():
                for name, value in restorer.state_dict().items():
                    average[name].lerp_(value, 1 - min(0.995, step / (step + 10)))
            smooth = loss.item() if step == 1 else 0.98 * smooth + 0.02 * loss.item()
            if step % 50 == 0:
                if hidden:
                    print(f"step {step}, {done:.0%}, loss {smooth:.3f}", file=sys.stderr, flush=True)
                curve.append([step, round(smooth, 4)])
                bar.set_postfix(step=step, loss=f"{smooth:.3f}")
                _keep(average, args.out, step)
            bar.update(int(done * 100) - bar.n)
        for late in coming:
            late.cancel()
    restorer.load_state_dict(average)
    return {
        "steps": step,
        "batch": args.batch,
        "minutes": round((time.monotonic() - started) / 60, 2),
        "seed": args.seed,
        "pictures": len(pictures),
        "gauge_rms": gauged,
        "loss": curve,
    }


def _keep(average: dict[str, Tensor], out: Path, step: int) -> None:
    """Write the moving average now and then: a run that is cut short is not lost (`--from` goes on)."""
    if step % 500 == 0:
        kept = Restorer()
        kept.load_state_dict(average)
        save_restorer(kept, out, {"training": {"steps": step, "unfinished": True}})


def _progress(step: int, started: float, args: argparse.Namespace) -> float:
    if args.steps:
        return float(step / args.steps)
    return float((time.monotonic() - started) / (args.minutes * 60))


@torch.inference_mode()
def measure(
    restorer: Restorer, pictures: Sequence[RgbImage], perceptual: AlexDistance
) -> dict[str, dict[str, float]]:
    """Return, per coding, LPIPS-Alex and PSNR (dB) of coded and restored pictures of the paper's 128x256."""
    small = [cv2.resize(p, CROP[::-1], interpolation=cv2.INTER_AREA) for p in (_centre(p) for p in pictures)]
    rows: dict[str, dict[str, float]] = {}
    for coding in MEASURED:
        found = []
        for original in small:
            coded = code(np.asarray(original, np.uint8), coding)
            found.append(
                [
                    *_scores(coded, original, perceptual),
                    *_scores(restore(restorer, coded), original, perceptual),
                ]
            )
        mean = np.mean(found, 0)
        names = ("lpips_alex", "psnr", "lpips_alex_restored", "psnr_restored")
        rows[str(coding)] = {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}
    return rows


def _centre(image: RgbImage) -> RgbImage:
    """Return the middle of a picture, twice as wide as high."""
    height, width = image.shape[:2]
    h = min(height, width // 2)
    top, left = (height - h) // 2, (width - 2 * h) // 2
    return np.ascontiguousarray(image[top : top + h, left : left + 2 * h])


def _scores(image: RgbImage, original: Any, perceptual: AlexDistance) -> tuple[float, float]:
    planes = [torch.from_numpy(np.array(v)).permute(2, 0, 1)[None].float() / 255 for v in (image, original)]
    error = float((planes[0] - planes[1]).square().mean())
    return float(perceptual(planes[0], planes[1])[0]), 10 * math.log10(1 / max(error, 1e-10))


def main(argv: list[str] | None = None) -> int:
    """Train, measure on the held-out drives' side views, write the weights and the report."""
    args = parser().parse_args(argv)
    if args.minutes <= 0 or args.steps < 0 or args.batch < 1 or args.ahead < 1:
        raise UsageError("--minutes, --batch and --ahead must be positive, --steps not negative")
    torch.set_num_threads(max(1, args.threads))
    cv2.setNumThreads(max(1, args.threads))
    torch.manual_seed(args.seed)
    pictures, held_out = read_drives(args.data, args.holdout)
    perceptual = AlexDistance(args.metric_weights)
    restorer = Restorer() if args.start is None else load_restorer(args.start).requires_grad_(True)
    restorer = restorer.to(args.device).to(memory_format=torch.channels_last).train()
    training = {
        **train(restorer, pictures, perceptual.to(args.device), args),
        "held_out": sorted(args.holdout),
    }
    save_restorer(restorer, args.out, {"training": training})
    kept = load_restorer(args.out)  # measure what was written, float16 and all
    report: dict[str, Any] = {"training": training}
    if held_out:
        report["128x256"] = measure(kept, held_out, perceptual.to("cpu"))
    save_restorer(kept, args.out, report)
    print(json.dumps(report) if args.json else _table(report))
    return 0


def _table(report: dict[str, Any]) -> str:
    """Return the report as lines to read."""
    lines = [f"{report['training']['steps']} steps, {report['training']['minutes']} minutes"]
    for coding, row in report.get("128x256", {}).items():
        lines.append(
            f"{coding:14} LPIPS-Alex {row['lpips_alex']:.3f} -> {row['lpips_alex_restored']:.3f}   "
            f"PSNR {row['psnr']:.2f} -> {row['psnr_restored']:.2f} dB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run_main(main)
