"""`python -m benchmarks ablation`: parts taken out, or entropy models exchanged, each retrained with one budget."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.ablation import outcome as outcomes
from benchmarks.ablation import smoke
from benchmarks.ablation.outcome import Outcome
from benchmarks.ablation.variants import GROUPS, Group, Variant
from benchmarks.rd.metrics import METRICS, parse_metrics
from benchmarks.rd.ours import parse_qualities
from benchmarks.rd.protocol import Sample, Samples, SideView
from benchmarks.rd.results import write_json
from common.bundle import Bundle
from common.errors import DatasetError, UsageError

PROTOCOL = "128x256"
DEFAULT_METRICS = "lpips_vgg,dists,psnr,ms_ssim_db"
RESULT = "ablation.json"


def main(argv: list[str]) -> int:
    """Train what is not trained yet, judge what is not judged yet, write the table, the plot and the JSON file."""
    options = _parser().parse_args(argv)
    group = GROUPS[options.group]
    variants = group.pick(None if options.variants is None else _names(options.variants))
    metrics = parse_metrics(options.metrics)
    _check(options)
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    base = _base(options)
    if options.smoke:
        _smoke_data(options)
    left_out = sorted({*_names(options.hold_out), *_scene_names(options.eval)})
    samples = _samples(options)
    qualities = parse_qualities(options.qualities, base.model.qualities)
    captioner = _captioner(options, [variant.config(base, group.whole).model for variant in variants])
    judge = _judge(metrics, options.metric_weights, device)
    material = _material(options, group, base, device, left_out)
    about = _about(argv, options, group, base, device, left_out, samples)
    found: list[Outcome] = []
    for variant in variants:
        config = variant.config(base, group.whole)
        found.append(_one(variant, config, material, samples, qualities, judge, captioner, options.out))
        complete = len(found) == len(variants)
        document = outcomes.document(about, found, group.reference, metrics, complete)
        write_json(options.out / RESULT, document)
        if options.json is not None:
            write_json(options.json, document)
    _finish(document, group, options)
    return 0


def _one(
    variant: Variant,
    config: Any,
    material: Any,
    samples: Sequence[Sample],
    qualities: tuple[int, ...],
    judge: Any,
    captioner: Any,
    out: Path,
) -> Outcome:
    """Train and judge one variant, or read what an earlier call has left."""
    from benchmarks.ablation import retrain
    from benchmarks.ablation.judge import Setting, Subject, evaluate

    folder = out / variant.name
    print(f"{variant.label}: {folder}", file=sys.stderr, flush=True)
    facts = retrain.train(config, material, folder)
    setting = Setting(qualities, variant.side, config.model.steps, material.device)
    wanted = {
        "pictures": [sample.name for sample in samples],
        "metrics": list(judge.metrics),
        "text": captioner is not None,
        "setting": json.loads(json.dumps(dataclasses.asdict(setting))),
    }
    path = folder / "judged.json"
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["wanted"] == wanted:
            return Outcome(variant.name, variant.label, facts, known["rows"])
    subject = Subject(retrain.averaged(folder), setting, captioner if config.model.text else None)
    with tqdm(total=len(samples), desc=f"judging {variant.name}", unit="pair", disable=None) as bar:
        rows = evaluate(subject, samples, qualities, judge, bar.update)
    write_json(path, {"wanted": wanted, "rows": rows})
    return Outcome(variant.name, variant.label, facts, rows)


def _base(options: argparse.Namespace) -> Any:
    """Return the configuration that the variants change, with the budget in it."""
    from cloud.training.config import load_config

    base = load_config(options.config or Path(__file__).parent / "ablation.toml")
    if options.seed is not None:
        base = dataclasses.replace(base, seed=options.seed)
    if options.budget_steps:
        base = dataclasses.replace(base, steps=options.budget_steps)
    elif options.budget_minutes:
        base = dataclasses.replace(base, minutes=options.budget_minutes, steps=0)
    return smoke.shrink(base) if options.smoke else base


def _material(
    options: argparse.Namespace, group: Group, base: Any, device: str, left_out: Sequence[str]
) -> Any:
    """Read the training data once for all variants."""
    from benchmarks.ablation.retrain import Material
    from cloud.allocator import keep_freed_memory
    from cloud.training.data import load_folder, synthetic_pairs
    from cloud.training.losses import AlexDistance

    if device == "cpu":
        keep_freed_memory()
    skipped = {*left_out, *base.leave_out}
    cache = options.cache or options.out / "disparity"
    pairs = load_folder(options.data, cache, labels=options.labels, leave_out=skipped)
    streets = synthetic_pairs(options.synthetic, options.out / "synthetic") if options.synthetic else []
    labelled = sum(pair.side_labels is not None for pair in pairs)
    about = {"data": options.data.name, "left_out": sorted(skipped), "labelled": labelled}
    perceptual = AlexDistance(options.metric_weights)
    return Material(pairs, streets, perceptual, options.start, group.fresh, device, about)


def _samples(options: argparse.Namespace) -> list[Sample]:
    """Return the held-out pairs, cut; what was cut away is not kept."""
    folders = [options.eval] if options.eval else [options.data / name for name in _names(options.hold_out)]
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(folder, "no such folder to judge on")
        for sample in Samples(folder, PROTOCOL, SideView("webp"), None, options.every):
            name = sample.name if options.eval else f"{folder.name}/{sample.name.rpartition('/')[2]}"
            found.append(
                dataclasses.replace(sample, whole_main=sample.main, whole_side=sample.main, name=name)
            )
    return found[: options.limit]


def _scene_names(folder: Path | None) -> set[str]:
    """Return the scenes of a folder to judge on: their namesakes are not trained on."""
    if folder is None or not folder.is_dir():
        return set()
    scenes = {path.name for path in folder.iterdir() if (path / "left").is_dir()}
    return scenes | ({folder.name} if (folder / "left").is_dir() else set())


def _captioner(options: argparse.Namespace, models: Sequence[Any]) -> Any:
    """Return what reads the side views; before any training, so that a missing tagger is told at once."""
    if options.captions == "none" or options.smoke or not any(model.text for model in models):
        return None
    from cloud.text.captioner import TaggerCaptioner

    return TaggerCaptioner()


def _judge(metrics: Sequence[str], weights: Path | None, device: str) -> Any:
    from benchmarks.rd.metrics import Judge

    return Judge(metrics, weights, device)


def _smoke_data(options: argparse.Namespace) -> None:
    """Put synthetic streets where the data would be."""
    made = options.out / "streets"
    options.data = smoke.write_streets(made / "train", 2, 1000)
    options.eval, options.labels, options.cache = smoke.write_streets(made / "held-out", 1, 2000), None, None
    options.qualities = options.qualities or ",".join(map(str, smoke.QUALITIES))


def _about(
    argv: list[str],
    options: argparse.Namespace,
    group: Group,
    base: Any,
    device: str,
    left_out: Sequence[str],
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """Return what the result file says about the run."""
    command = report.command_line("benchmarks", ["ablation", *argv])
    return report.describe_run(command, base.seed) | {
        "group": group.name,
        "protocol": PROTOCOL,
        "data": options.data.name,
        "held_out": list(left_out),
        "pairs": len(samples),
        "side": "webp",
        "device": device,
        "budget": {"steps": base.steps or None, "minutes": None if base.steps else base.minutes},
        "start": None if options.start is None else options.start.name,
        "smoke": options.smoke,
    }


def _finish(document: dict[str, Any], group: Group, options: argparse.Namespace) -> None:
    budget = document["budget"]
    spent = f"{budget['steps']} steps" if budget["steps"] else f"{budget['minutes']:g} minutes"
    title = f"{group.title}, {spent} each, {document['pairs']} held-out pairs, protocol {PROTOCOL}"
    plot = outcomes.draw(document, title, options.out / f"{group.name}.png")
    reference = next(v["label"] for v in document["variants"] if v["name"] == group.reference)
    print(f"{title}; BD-rate against: {reference} (+ costs bits)\n")
    print(outcomes.table(document), outcomes.point_table(document), sep="\n\n")
    for path in (plot, options.out / RESULT, *([options.json] if options.json else [])):
        print(f"wrote {path}", file=sys.stderr)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: no budget or two, nothing to train on, nothing held out.
    """
    if options.smoke:
        return
    budgets = [b for b in (options.budget_steps, options.budget_minutes) if b is not None]
    if len(budgets) != 1 or budgets[0] <= 0:
        raise UsageError("give one budget above zero: --budget-steps N or --budget-minutes M")
    if options.data is None:
        raise UsageError("--data is needed (--smoke makes its own)")
    if (options.eval is None) == (not options.hold_out):
        raise UsageError("say what is judged: --eval FOLDER, or --hold-out SCENES of --data")
    if options.every < 1 or (options.limit is not None and options.limit < 1):
        raise UsageError("--every and --limit must be at least 1")
    if options.start is not None and not options.start.exists():
        raise UsageError(f"--from {options.start}: no such checkpoint or bundle")
    if options.start is not None and options.start.is_dir():
        Bundle.load(options.start)  # told before minutes of reading


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ablation", description=__doc__)
    add = parser.add_argument
    known = "; ".join(f"{g.name}: {', '.join(v.name for v in g.variants)}" for g in GROUPS.values())
    add("--group", choices=sorted(GROUPS), default="method", help="parts of the method, or entropy models")
    add("--variants", help=f"comma-separated (default: all; the reference always runs). {known}")
    add("--data", type=Path, help="training pairs: a folder of NAME/{left,right}")
    add("--labels", type=Path, help="label maps NAME/{left,right}/*.png, for text and text supervision")
    add("--metric-weights", type=Path, required=True, help="folder with the weights of LPIPS and DISTS")
    add("--from", dest="start", type=Path, help="checkpoint or bundle that all start from, where tensors fit")
    add("--budget-steps", type=int, help="train every variant for so many steps")
    add("--budget-minutes", type=float, help="train every variant for so many minutes")
    add("--out", type=Path, required=True, help="runs, plot, table; a second call goes on where one stopped")
    add("--json", type=Path, help="write the result file here too")
    add("--eval", type=Path, help="pairs to judge on; scenes of these names are not trained on")
    add("--hold-out", default="", help="scenes of --data to judge on and not to train on, comma-separated")
    add("--every", type=int, default=1, help="judge every n-th pair of a folder")
    add("--limit", type=int, help="judge at most so many pairs")
    add("--qualities", help="such as 0,2,4,7 (default: all)")
    add("--metrics", default=DEFAULT_METRICS, help=f"comma-separated of {', '.join(METRICS)}")
    add("--config", type=Path, help="TOML of the training (default: benchmarks/ablation/ablation.toml)")
    add("--cache", type=Path, help="teacher disparities are kept here (default: OUT/disparity)")
    add("--synthetic", type=int, default=0, metavar="N", help="synthetic pairs to add")
    add("--captions", choices=("tagger", "none"), default="tagger", help="what tells the text when judging")
    add("--seed", type=int, help="of weights and draws (default: the configuration's)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--threads", type=int, default=0)
    add("--smoke", action="store_true", help="two steps of a small network on synthetic streets")
    return parser
