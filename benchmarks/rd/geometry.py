"""`python -m benchmarks geometry`: how well the decoder knows where things are, apart from how it paints them."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.rd.ceilings import ceilings
from benchmarks.rd.controls import oracle_warp
from benchmarks.rd.disparity import GroundTruth, Truth, errors, oracle_truth
from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.monocular import monocular_warp
from benchmarks.rd.ours import Ours, parse_qualities
from benchmarks.rd.protocol import PROTOCOLS, Sample, Samples, SideView
from benchmarks.rd.results import write_json
from common.errors import UsageError

PRIOR = "prior"
ORACLE = "oracle"
_ERROR_KEYS = ("mae_px", "over_1px", "over_3px", "pixels")


def main(argv: list[str]) -> int:
    """Run the benchmark; the table goes to stdout."""
    options = _parser().parse_args(argv)
    side = SideView.parse(options.side)
    if side.kind == "none":
        raise UsageError("--side none: without a side view there is no geometry to measure")
    metrics = parse_metrics(options.metrics)
    samples = Samples(options.data, options.protocol, side, options.limit, options.every)
    ground_truth = GroundTruth(options.ground_truth) if options.ground_truth else None
    ours, bundle = Ours.load(options.bundle, options.device, None)
    judge = Judge(metrics, options.weights, "cpu")
    qualities = parse_qualities(options.qualities, bundle["qualities"])
    about = report.describe_run(report.command_line("benchmarks", ["geometry", *argv])) | {
        "protocol": options.protocol,
        "data": options.data.name,
        "pairs": len(samples),
        "pairs_available": samples.available,
        "side": str(side),
        "bundle": bundle,
        "metrics": list(metrics),
    }
    rows: list[dict[str, Any]] = []
    for sample in tqdm(samples, desc=f"geometry {options.protocol}", unit="pair", disable=None):
        rows += measure(sample, options.protocol, ours, qualities, judge, ground_truth, options.ceilings)
        if options.json is not None:
            write_json(options.json, document(about, rows, complete=False))
    whole = document(about, rows, complete=True, asked=options.ground_truth is not None)
    if options.json is not None:
        write_json(options.json, whole)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(whole))
    for note in whole["notes"]:
        print(f"\nNote: {note}.")
    return 0


def measure(
    sample: Sample,
    protocol: str,
    ours: Ours,
    qualities: Sequence[int],
    judge: Judge,
    ground_truth: GroundTruth | None,
    with_ceilings: bool = False,
) -> list[dict[str, Any]]:
    """Return a row per setting (prior, each quality, the ceilings if wanted, oracle) for one pair.

    A row holds `setting`, `image`, `bytes`, `oracle` and `truth` (errors against each, see `disparity.errors`;
    `truth` is {} without ground truth), `trusted` (against the oracle where the mask is open), `mask_mean`, and the
    metrics of the warp alone against the main view.
    """
    assert sample.side is not None  # main() refuses to run without one
    oracle = oracle_truth(sample, protocol)
    truth = ground_truth.truth(sample, protocol) if ground_truth else None
    side = ours.seen(sample.side, sample.side_lossy)  # the ceilings' too: what can be moved is what is seen
    prior = ours.prior(side)
    pictures = ours.code(sample.main, side, qualities)
    warps = [monocular_warp(side, prior), *(picture.warped for picture in pictures)]
    above = ceilings(side, oracle) if with_ceilings else []
    warps += [ceiling.warped for ceiling in above]
    warps.append(PROTOCOLS[protocol](oracle_warp(sample.whole_main, sample.whole_side)))
    judged = judge.measure(sample.main, warps)
    rows = [_row(sample, PRIOR, 0, prior, oracle, truth, judged[0])]
    for picture, values in zip(pictures, judged[1:], strict=False):
        row = _row(sample, picture.quality, picture.packet_bytes, picture.disparity, oracle, truth, values)
        row["trusted"] = errors(picture.disparity, oracle, picture.mask > 0)
        row["mask_mean"] = float(picture.mask.mean())
        rows.append(row)
    for ceiling, values in zip(above, judged[1 + len(pictures) :], strict=False):
        row = _row(sample, ceiling.name, 0, ceiling.disparity, oracle, truth, values)
        rows.append(row | {"bytes": None})
    rows.append({"setting": ORACLE, "image": sample.name, "bytes": None, **judged[-1]})
    rows[-1]["truth"] = errors(oracle.disparity, truth, oracle.known) if truth else {}
    return rows


def _row(
    sample: Sample,
    setting: int | str,
    payload: int,
    disparity: Any,
    oracle: Truth,
    truth: Truth | None,
    values: Mapping[str, float],
) -> dict[str, Any]:
    row = {"setting": setting, "image": sample.name, "bytes": payload, "oracle": errors(disparity, oracle)}
    return row | {"truth": errors(disparity, truth) if truth else {}} | dict(values)


def document(
    about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], complete: bool, asked: bool = False
) -> dict[str, Any]:
    """Return the run for a JSON file: means per setting under `points`, every row under `images`.

    Args:
        about: facts of the run.
        rows: what `measure` returned for the pairs so far.
        complete: whether these are all of them.
        asked: whether ground truth was given.
    """
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    points = [_mean([row for row in rows if row["setting"] == setting]) for setting in settings]
    with_truth = len({row["image"] for row in rows if row.get("truth")})
    notes = []
    if about["pairs"] < about["pairs_available"]:
        notes.append(f"{about['pairs']} of {about['pairs_available']} pairs")
    if not asked:
        notes.append(
            "ground truth disparity was not given (--ground-truth DIR): that comparison was left out"
        )
    elif complete and with_truth < about["pairs"]:
        notes.append(f"ground truth was found for {with_truth} of {about['pairs']} pairs")
    return {
        "schema": 1,
        "complete": complete,
        **about,
        "pairs_with_ground_truth": with_truth,
        "notes": notes,
        "points": points,
        "images": _round(list(rows)),
    }


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of every number over the rows that have it; nested errors alike."""
    mean: dict[str, Any] = {"setting": rows[0]["setting"]}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row[key] for row in rows if key in row]
        if values and all(isinstance(value, dict) for value in values):
            held = [value for value in values if value]
            mean[key] = _mean([{"setting": None, **value} for value in held]) if held else {}
            mean[key].pop("setting", None)
        elif key != "setting" and all(isinstance(value, (int, float)) for value in values):
            mean[key] = statistics.fmean(values)
    rounded: dict[str, Any] = _round(mean)
    return rounded


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _round(part) for key, part in value.items()}
    return [_round(part) for part in value] if isinstance(value, list) else value


def table(whole: Mapping[str, Any]) -> str:
    """Return the means as a Markdown table."""
    metrics = [METRICS[key] for key in whole["metrics"]]
    with_truth = whole["pairs_with_ground_truth"] > 0
    heads = ["disparity from", "bytes", "mean error px", "> 1 px", "> 3 px", "> 3 px where trusted"]
    heads += ["ground truth: mean error px", "> 3 px"] if with_truth else []
    heads += [f"warp alone: {metric.label}" for metric in metrics]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    names = {
        PRIOR: "side view alone (monocular prior)",
        ORACLE: "oracle: both uncut views, holes painted over",
    }
    for point in whole["points"]:
        setting = point["setting"]
        against, trusted, truth = (point.get(key) or {} for key in ("oracle", "trusted", "truth"))
        cells = [
            names.get(setting, setting if isinstance(setting, str) else f"quality {setting}"),
            _text(point.get("bytes"), "{:.0f}"),
        ]
        cells += [
            _text(against.get("mae_px"), "{:.2f}"),
            _share(against, 1),
            _share(against, 3),
            _share(trusted, 3),
        ]
        cells += [_text(truth.get("mae_px"), "{:.2f}"), _share(truth, 3)] if with_truth else []
        cells += [_text(point.get(metric.key), f"{{:.{metric.digits}f}}") for metric in metrics]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(found: Mapping[str, float], limit: int) -> str:
    value = found.get(f"over_{limit}px")
    return _text(None if value is None else 100 * value, "{:.1f} %")


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks geometry", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a stereo dataset, or a folder of several")
    add("--protocol", choices=sorted(PROTOCOLS), default="128x256", help="default 128x256")
    add("--ground-truth", type=Path, help="a folder of KITTI's 16-bit disparity PNGs (disp_occ_0)")
    add("--every", type=int, default=1, help="take every n-th pair")
    add("--limit", type=int, help="at most so many pairs (after --every)")
    add("--qualities", help="qualities of ours, such as 0,2,4,7 (default: all)")
    add(
        "--ceilings",
        action="store_true",
        help="also warp by the oracle's disparity, whole, in blocks and disturbed",
    )
    add("--side", default="webp", help="the side view's codec: webp (lossless) or jpeg:QUALITY")
    add("--bundle", help="name or path of the bundle")
    add("--metrics", default="lpips_vgg,dists,psnr,ms_ssim_db", help="of the warp alone, comma-separated")
    add("--weights", type=Path, help="folder of the metric networks' weights (default: $MDIC_METRIC_WEIGHTS)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the decoder runs")
    add("--json", type=Path, help="write everything measured, per picture, to this file")
    return parser
