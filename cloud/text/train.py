"""`python -m cloud.text.train`: train the tagger on label maps and measure it on held-out drives."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from common.cli import run_main
from common.errors import UsageError

from .labelled import (
    Examples,
    LabelledPicture,
    centre_crop,
    draw_batch,
    find_pictures,
    synthetic_pictures,
)
from .scores import score_tags
from .tagger import FACTS, OTHER, Tagged, Tagger, evidence, load_tagger, save_tagger
from .vocabulary import OBJECTS, Tags, tags_of_labels

SIDE_VIEW = "right"
_SYNTHETIC_SEED = 50_000  # far from the seeds of demos and codec training
_PRESENCE_WEIGHT = 0.5
_WARM_UP = 0.05
_CALIBRATION_LEAST = (
    0.9  # thresholds are for whole frames: enlarged crops show things larger than they will be
)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(
        prog="python -m cloud.text.train", description="train the tagger of the side view"
    )
    p.add_argument("--data", type=Path, required=True, help="folder of NAME/{left,right}/* pictures")
    p.add_argument(
        "--labels", type=Path, required=True, help="folder of NAME/{left,right}/*.png train-id maps"
    )
    p.add_argument(
        "--out", type=Path, required=True, help="where tagger.safetensors, tagger.json, report.json go"
    )
    p.add_argument(
        "--holdout", nargs="*", default=[], metavar="NAME", help="drives to measure on, never trained on"
    )
    p.add_argument("--synthetic", type=int, default=0, metavar="N", help="synthetic streets to add")
    p.add_argument("--minutes", type=float, default=10.0, help="length of the schedule")
    p.add_argument(
        "--steps", type=int, default=0, help="end after so many steps instead (repeatable to the bit)"
    )
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    p.add_argument(
        "--calibration", type=int, default=40, metavar="N", help="batches that thresholds are fitted on"
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--from", dest="start", type=Path, help="start from the tagger in this folder")
    p.add_argument("--json", action="store_true", help="print the report as JSON")
    return p


def class_weights(pictures: Sequence[LabelledPicture], rng: np.random.Generator, sample: int = 60) -> Tensor:
    """Return (15,) weights, one over the root of each class's share in a sample, so that small things count."""
    share = np.full(OTHER + 1, 1e-4)
    for index in rng.permutation(len(pictures))[:sample]:
        batch = draw_batch([pictures[int(index)]], 1, rng)
        share += batch.cells.mean((0, 2, 3)).numpy()
    weights = 1 / np.sqrt(share / share.sum())
    return torch.from_numpy(np.minimum(weights / weights.min(), 12)).float()


def tagger_loss(out: Tagged, batch: Examples, tagger: Tagger, weights: Tensor) -> Tensor:
    """Return cross-entropy with each cell's class shares, plus that of presence (whose thresholds it fits), in nats."""
    cross = -(torch.log_softmax(out.logits, 1) * batch.cells * weights[None, :, None, None]).sum(1)
    normal = (batch.cells * weights[None, :, None, None]).sum(1)
    presence = F.binary_cross_entropy_with_logits(tagger.presence_logits(out.logits), batch.presence)
    return cross.sum() / normal.sum() + _PRESENCE_WEIGHT * presence


def train(
    tagger: Tagger,
    real: Sequence[LabelledPicture],
    synthetic: Sequence[LabelledPicture],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Train in place and return the facts of the run; one in eight pictures is synthetic where there are any."""
    rng = np.random.default_rng(args.seed)
    weights = class_weights(real, rng)
    optimiser = torch.optim.AdamW(tagger.parameters(), lr=args.rate, weight_decay=1e-2)
    tagger.train()
    started, cpu, step, average = time.monotonic(), time.process_time(), 0, math.nan
    curve: list[list[float]] = []
    with tqdm(total=100, unit="%", desc="tagger", disable=not sys.stderr.isatty()) as bar:
        while (done := _progress(step, started, args)) < 1:
            rate = args.rate * min(done / _WARM_UP, 1) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
            for group in optimiser.param_groups:
                group["lr"] = rate
            pool = synthetic if synthetic and rng.random() < 1 / 8 else real
            batch = draw_batch(pool, args.batch, rng)
            loss = tagger_loss(tagger(batch.image), batch, tagger, weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tagger.parameters(), 1.0)
            optimiser.step()
            step += 1
            average = loss.item() if step == 1 else 0.98 * average + 0.02 * loss.item()
            if step % 50 == 0:
                curve.append([step, round(average, 4)])
                bar.set_postfix(step=step, loss=f"{average:.3f}")
            bar.update(int(done * 100) - bar.n)
    tagger.eval()
    calibrate(tagger, real, rng, args.calibration)
    return {
        "steps": step,
        "batch": args.batch,
        "minutes": round((time.monotonic() - started) / 60, 2),
        "cpu_seconds": round(time.process_time() - cpu, 1),  # what a shared machine left of the minutes
        "seed": args.seed,
        "pictures": len(real),
        "synthetic": len(synthetic),
        "drives": sorted({p.drive for p in real}),
        "loss": curve,
    }


def calibrate(
    tagger: Tagger, pictures: Sequence[LabelledPicture], rng: np.random.Generator, batches: int = 40
) -> None:
    """Fit each word's presence threshold on training crops hardly enlarged, the network left as it is, in place.

    First the slopes and offset by logistic regression; then the offset moves so that 0.5 is where the F1 of the word is
    best. Presence is therefore no probability: 0.5 means "better said than not".
    """
    with torch.no_grad():
        drawn = [draw_batch(pictures, 8, rng, _CALIBRATION_LEAST) for _ in range(batches)]
        seen = [evidence(tagger(batch.image).logits) for batch in drawn]
    mean, peak = (torch.cat(parts) for parts in zip(*seen, strict=True))
    true = torch.cat([batch.presence for batch in drawn])
    fitted = [tagger.mean_slope, tagger.peak_slope, tagger.offset]
    optimiser = torch.optim.LBFGS(fitted, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(tagger.judge(mean, peak), true)
        # A word seen everywhere, or nowhere, would otherwise push its slopes without end.
        loss = loss + 1e-3 * sum(p.square().mean() for p in fitted)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        said = list(tagger.judge(mean, peak).transpose(0, 1).flatten(1))
        for i, (logits, truth) in enumerate(zip(said, true.transpose(0, 1).flatten(1), strict=True)):
            tagger.offset[i] -= best_threshold(logits, truth)


def best_threshold(logits: Tensor, true: Tensor) -> float:
    """Return from which logit on to say yes for the best F1 on N examples; 0 where nothing is true."""
    order = logits.argsort(descending=True)
    ranked, hits = logits[order], true[order].cumsum(0)
    if hits[-1] == 0:
        return 0.0
    f1 = 2 * hits / (torch.arange(1, len(ranked) + 1) + hits[-1])
    below = torch.cat([ranked[1:], ranked[-1:] - 1])
    best = int(f1.where(below < ranked, -1.0).argmax())  # no threshold passes between equal logits
    return float((ranked[best] + below[best]) / 2)


def _progress(step: int, started: float, args: argparse.Namespace) -> float:
    if args.steps:
        return float(step / args.steps)
    return float((time.monotonic() - started) / (args.minutes * 60))


@torch.inference_mode()
def measure(tagger: Tagger, pictures: Sequence[LabelledPicture], crop: bool) -> dict[str, Any]:
    """Return `score_tags` of the tagger on pictures: whole, or cropped as the paper does."""
    said, true = [], []
    for picture in pictures:
        image, labels = picture.read()
        if crop:
            image, labels = centre_crop(image, labels)
        batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        said.append(Tags(tagger(batch).presence[0].numpy()))
        true.append(tags_of_labels(labels))
    return score_tags(said, true)


def prior_scores(train_on: Sequence[LabelledPicture], pictures: Sequence[LabelledPicture]) -> dict[str, Any]:
    """Return the scores of a blind tagger that always says what most training pictures show: the control."""
    often = np.mean([tags_of_labels(p.read()[1]).presence for p in train_on], 0)
    true = [tags_of_labels(p.read()[1]) for p in pictures]
    return score_tags([Tags(often)] * len(true), true)


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw precision and recall of each word, whole frames, thirds; nothing where matplotlib is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return
    words = report["whole"]["thirds"]["words"]
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    places = np.arange(len(OBJECTS))
    for shift, key in ((-0.2, "precision"), (0.2, "recall")):
        axes.bar(places + shift, [words[w][key] or 0 for w in OBJECTS], 0.38, label=key)
    axes.set_xticks(places, [f"{w}\n{words[w]['support']}" for w in OBJECTS], fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("per word and third")
    axes.set_title(
        "Tagger on held-out drives, against its teacher's labels (number: how often it is there)", fontsize=9
    )
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    """Train, measure on the held-out drives' side views, and write the weights and the report."""
    args = parser().parse_args(argv)
    if args.minutes <= 0 or args.steps < 0 or args.batch < 1:
        raise UsageError("--minutes and --batch must be positive, --steps not negative")
    torch.set_num_threads(max(1, args.threads))
    cv2.setNumThreads(max(1, args.threads))
    torch.manual_seed(args.seed)
    real, held_out = find_pictures(args.data, args.labels, args.holdout)
    held_out = [p for p in held_out if p.view == SIDE_VIEW]
    seeds = range(_SYNTHETIC_SEED, _SYNTHETIC_SEED + args.synthetic)
    synthetic = synthetic_pictures(tqdm(seeds, desc="streets", disable=not sys.stderr.isatty()))
    tagger = Tagger()
    if args.start:
        tagger.load_state_dict(load_tagger(args.start).state_dict())
    training = {**train(tagger, real, synthetic, args), "held_out": sorted(args.holdout)}
    if args.start:
        training["from"] = json.loads((args.start / FACTS).read_text("utf-8"))["training"]
    save_tagger(tagger, args.out, {"training": training})
    kept = load_tagger(args.out)  # measure what was written, float16 and all
    report: dict[str, Any] = {"training": training}
    if held_out:
        report |= {
            "whole": measure(kept, held_out, crop=False),
            "128x256": measure(kept, held_out, crop=True),
            "control, always the same words": prior_scores(real, held_out),
        }
    if args.synthetic:
        unseen = range(seeds.stop, seeds.stop + max(2, args.synthetic // 4))
        report["synthetic"] = measure(kept, synthetic_pictures(unseen), crop=False)
    scores = {name: part["thirds"]["all"] for name, part in report.items() if "thirds" in part}
    save_tagger(tagger, args.out, {"training": training, "scores": scores})
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if held_out:
        plot(report, args.out / "words.png")
    print(json.dumps(report) if args.json else _table(report))
    return 0


def _table(report: dict[str, Any]) -> str:
    """Return the report as lines to read."""
    lines = [f"{report['training']['steps']} steps, {report['training']['minutes']} minutes"]
    for name in ("whole", "128x256", "control, always the same words", "synthetic"):
        if name in report:
            row = report[name]["thirds"]["all"]
            lines.append(f"{name}: precision {row['precision']}, recall {row['recall']} per word and third")
    for word, row in report.get("whole", {}).get("thirds", {}).get("words", {}).items():
        lines.append(
            f"  {word:10} precision {row['precision']}  recall {row['recall']}  support {row['support']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run_main(main)
