"""`python -m benchmarks rd`: every method on the same pictures; tables, plots, a sheet, a JSON file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.rd import paper, plots, sheet, text
from benchmarks.rd.codecs import CODECS, Codec, codec_named
from benchmarks.rd.controls import controls
from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.monocular import monocular_warp
from benchmarks.rd.ours import OurPicture, Ours, parse_qualities, thin
from benchmarks.rd.protocol import PROTOCOLS, Sample, Samples, SideView
from benchmarks.rd.results import Results, write_json
from benchmarks.rd.sidecost import SideCosts
from common.types import RgbImage

CONTROL_LABELS = {
    "side-copied": "side view copied",
    "best-shift": "side view, best whole-image shift",
    "monocular-warp": "monocular warp (disparity guessed from the side view alone)",
    "oracle-warp": "oracle warp (true disparity, no residual)",
}
SHEET_PICTURES = 4


@dataclass(frozen=True)
class Plan:
    """Say what is run: conventional codecs, qualities of ours with and without the side view."""

    codecs: tuple[Codec, ...]
    qualities: tuple[int, ...]
    qualities_noside: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Produced:
    """Hold one picture to be judged and what is known of it before."""

    method: str
    label: str
    kind: str
    setting: int | None
    payload_bytes: int | None
    image: RgbImage
    extra: dict[str, Any]
    mask: Any = None
    uses_side: bool = False


def main(argv: list[str]) -> int:
    """Run the benchmark; the table goes to stdout, the files to --out and --json."""
    options = _parser().parse_args(argv)
    side = SideView.parse(options.side)
    judge_metrics = parse_metrics(options.metrics)
    names = [name.strip() for name in options.codecs.split(",") if name.strip()]
    codecs = tuple(codec_named(name) for name in names if name not in (Ours.name, Ours.noside_name))
    samples = Samples(options.data, options.protocol, side, options.limit, options.every)
    device = _device(options.device)
    judge = Judge(judge_metrics, options.weights, device)
    results = Results(judge_metrics)
    ours, bundle = None, None
    with_side: tuple[int, ...] = ()
    with_none: tuple[int, ...] = ()
    if Ours.name in names or Ours.noside_name in names:
        ours, bundle = Ours.load(options.bundle, options.device, options.steps)
        qualities = parse_qualities(options.qualities, bundle["qualities"])
        with_side = qualities if Ours.name in names and side.kind != "none" else ()
        if options.no_side or side.kind == "none":
            with_none = qualities
        elif Ours.noside_name in names:
            with_none = thin(qualities)
    plan = Plan(codecs, with_side, with_none)
    if side.kind == "none":
        results.note("no side view (--side none): the zero-bit controls do not apply and were not run")
    if len(samples) < samples.available:
        limit = "" if options.limit is None else f", --limit {options.limit}"
        results.note(f"{len(samples)} of {samples.available} pairs (--every {options.every}{limit})")
    skipped = [key for key in METRICS if key not in judge_metrics]
    if skipped:
        results.note(f"not measured (--metrics): {', '.join(METRICS[key].label for key in skipped)}")
    about = report.describe_run(report.command_line("benchmarks", ["rd", *argv])) | {
        "protocol": options.protocol,
        "data": options.data.name,
        "pairs": len(samples),
        "pairs_available": samples.available,
        "side": str(side),
        "bundle": bundle,
        "device": device,
        "paper": {"label": paper.label(), "points": paper.paper_points(options.protocol)},
    }
    examples = run(samples, options.protocol, plan, ours, judge, results, about, options.json)
    _finish(results, options, about, examples, len(samples))
    return 0


def run(
    samples: Samples,
    protocol: str,
    plan: Plan,
    ours: Ours | None,
    judge: Judge,
    results: Results,
    about: dict[str, Any],
    json_path: Path | None,
) -> dict[str, list[sheet.Tile]]:
    """Judge every method on every pair, keeping a JSON file up to date, and return the tiles of the sheet."""
    per_pair = sum(len(c.ladder) for c in plan.codecs) + len(plan.qualities) + len(plan.qualities_noside)
    if about["side"] != "none":
        per_pair += len(CONTROL_LABELS) - (ours is None)  # the monocular warp needs our decoder
    costs = SideCosts(protocol, SideView.parse(about["side"]))
    step = max(1, len(samples) // SHEET_PICTURES)
    examples: dict[str, list[sheet.Tile]] = {}
    side_bytes: list[int] = []
    side_bpp: list[float] = []
    with tqdm(total=per_pair * len(samples), unit="picture", desc=f"rd {protocol}", disable=None) as bar:
        for number, sample in enumerate(samples):
            produced = _produce(sample, protocol, plan, ours)
            pixels = sample.main.shape[0] * sample.main.shape[1]
            judged = judge.measure(sample.main, [p.image for p in produced], bar.update)
            for p, values in zip(produced, judged, strict=True):
                bpp = None if p.payload_bytes is None else p.payload_bytes * 8 / pixels
                row = {"image": sample.name, "bytes": p.payload_bytes, "bpp": bpp, **values, **p.extra}
                if p.uses_side:
                    row["side_bpp"] = sample.side_bytes * 8 / pixels
                    row["sum_bpp"] = None if bpp is None else bpp + row["side_bpp"]
                results.add(p.method, p.label, p.kind, p.setting, row)
            side_bytes.append(sample.side_bytes)
            side_bpp.append(sample.side_bytes * 8 / pixels)
            about["side_bytes_mean"] = sum(side_bytes) / len(side_bytes)
            about["side_bpp_mean"] = sum(side_bpp) / len(side_bpp)
            costs.add(sample)
            about["side_codecs"] = costs.means()
            if number % step == 0 and len(examples) < SHEET_PICTURES:
                examples[sample.name] = tiles(sample, produced)
            if json_path is not None:
                write_json(json_path, results.document(about, complete=False))
    return examples


def tiles(sample: Sample, produced: Sequence[Produced]) -> list[sheet.Tile]:
    """Return the sheet's tiles of one pair; AV1 is shown at about the bytes of our middle quality."""
    by_method: dict[str, list[Produced]] = {}
    for p in produced:
        by_method.setdefault(p.method, []).append(p)
    mine = by_method.get(Ours.name, [])
    alone = by_method.get(Ours.noside_name, [])
    low, middle, highest = (mine[0], mine[len(mine) // 2], mine[-1]) if mine else (None, None, None)
    target = middle.payload_bytes if middle is not None and middle.payload_bytes else 300
    av1 = [sheet.Candidate(p.setting or 0, p.payload_bytes or 0, p.image) for p in by_method.get("av1", [])]
    rival = sheet.nearest_in_bytes(av1, target)
    no_side = min(alone, key=lambda p: abs((p.payload_bytes or 0) - target)) if alone else None
    shifted = by_method.get("best-shift", [None])[0]
    return [
        sheet.Tile("source", sample.main),
        sheet.Tile(f"side view (decoder only, {sample.side_bytes} bytes)", sample.side),
        sheet.Tile(
            "side view, best shift" + (f" ({shifted.extra['note']}, 1 byte)" if shifted else ""),
            shifted.image if shifted else None,
        ),
        sheet.Tile(
            f"AV1 intra, crf {rival.setting}, {rival.payload_bytes} bytes" if rival else "AV1 intra",
            rival.image if rival else None,
        ),
        _our_tile("ours, lowest", low),
        _our_tile("ours, middle", middle),
        _our_tile("ours without side view", no_side) if alone else _our_tile("ours, highest", highest),
        sheet.Tile(
            "mask (white: side view trusted)", sheet.grey(middle.mask) if middle is not None else None
        ),
    ]


def _our_tile(caption: str, p: Produced | None) -> sheet.Tile:
    if p is None:
        return sheet.Tile(caption, None)
    return sheet.Tile(f"{caption}: q{p.setting}, {p.payload_bytes} bytes", p.image)


def _produce(sample: Sample, protocol: str, plan: Plan, ours: Ours | None) -> list[Produced]:
    """Return every picture of one pair, not yet judged."""
    produced = []
    if ours is not None:
        if plan.qualities and sample.side is not None:
            pictures = ours.code(sample.main, sample.side, plan.qualities, sample.side_lossy)
            produced += [_ours(picture, Ours.name, Ours.label, uses_side=True) for picture in pictures]
        if plan.qualities_noside:
            pictures = ours.code(sample.main, None, plan.qualities_noside)
            produced += [_ours(picture, Ours.noside_name, Ours.noside_label) for picture in pictures]
    found = controls(sample, protocol)
    if ours is not None and sample.side is not None:
        oracle = found.pop("oracle-warp")  # the ceiling stays last
        seen = ours.seen(sample.side, sample.side_lossy)
        found["monocular-warp"] = (monocular_warp(seen, ours.prior(seen)), 0, "")
        found["oracle-warp"] = oracle
    for name, (image, payload, note) in found.items():
        extra = {"note": note} if note else {}
        label = CONTROL_LABELS[name]
        produced.append(Produced(name, label, "control", None, payload, image, extra, uses_side=True))
    for codec in plan.codecs:
        for setting in codec.ladder:
            started = time.perf_counter()
            coded = codec.code(sample.main, setting)
            took = {"codec_ms": 1e3 * (time.perf_counter() - started)}
            produced.append(
                Produced(codec.name, codec.label, "codec", setting, coded.payload_bytes, coded.image, took)
            )
    return produced


def _ours(picture: OurPicture, method: str, label: str, uses_side: bool = False) -> Produced:
    extra = {
        "payload_bytes": picture.payload_bytes,
        "information_bits": picture.information_bits,
        "encode_ms": picture.encode_ms.get("total"),
        "decode_ms": picture.decode_ms.get("total"),
        "mask_mean": float(picture.mask.mean()),
    }
    return Produced(
        method,
        label,
        "ours",
        picture.quality,
        picture.packet_bytes,
        picture.image,
        extra,
        picture.mask,
        uses_side,
    )


def _finish(
    results: Results,
    options: argparse.Namespace,
    about: dict[str, Any],
    examples: dict[str, list[sheet.Tile]],
    pairs: int,
) -> None:
    written = []
    document = results.document(about, complete=True)
    if options.json is not None:
        write_json(options.json, document)
        written.append(options.json)
    if options.out is not None:
        written += plots.draw(results, options.protocol, pairs, options.out)
        written.append(plots.draw_panel(results, options.protocol, pairs, options.out / "all.png"))
        written.append(sheet.write(options.out / "sheet.png", examples))
    print(text.whole(document))
    for path in written:
        print(f"wrote {path}", file=sys.stderr)


def _device(name: str) -> str:
    """Return the torch device of the metric networks."""
    if name != "auto":
        return name
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rd", description=__doc__)
    everything = ",".join((Ours.name, Ours.noside_name, *CODECS))
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        help="a stereo dataset, or a folder of folders with left/ and right/",
    )
    add(
        "--protocol",
        choices=sorted(PROTOCOLS),
        required=True,
        help="the paper's 128x256 cut, or the images as they are",
    )
    add("--json", type=Path, help="write everything measured, per picture, to this file")
    add("--out", type=Path, help="write a plot per metric and the sheet of examples to this folder")
    add("--limit", type=int, help="at most so many pairs (after --every)")
    add("--every", type=int, default=1, help="take every n-th pair")
    add(
        "--codecs", default=everything, help=f"comma-separated, default {everything}; the controls always run"
    )
    add("--qualities", help="qualities of ours, such as 0,2,4,7 (default: all)")
    add(
        "--no-side",
        action="store_true",
        help="decode every quality without the side view too, not only three",
    )
    add("--side", default="webp", help="the side view's codec: webp (lossless), jpeg:QUALITY or none")
    add("--bundle", help="name or path of the bundle")
    add("--steps", type=int, help="denoising steps (default: the bundle's)")
    add("--metrics", default=",".join(METRICS), help=f"comma-separated, default {','.join(METRICS)}")
    add("--weights", type=Path, help="folder of the metric networks' weights (default: $MDIC_METRIC_WEIGHTS)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the decoder and the metrics run",
    )
    return parser
