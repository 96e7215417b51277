"""`python -m benchmarks grain`: what repeats with a grid in pictures that are no picture's own.

A network that works at a stride can lay one pattern over a whole picture. LPIPS takes it for texture and rewards it;
people see it at once. So it is measured apart: of every picture's details (what a Gaussian of 6 pixels takes away) the
mean of each place in cells of 8x8 or 16x16 pixels, and by how many levels the places differ. The original has some of
it, too, by chance; what is above that was laid over it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import report
from benchmarks.rd.ours import parse_qualities
from benchmarks.rd.protocol import PROTOCOLS, Samples, SideView
from benchmarks.rd.results import write_json
from benchmarks.robust.probe import Probe
from common.types import RgbImage

PERIODS = (8, 16)
SIDES = ("webp", "jpeg:50", "none")
ORIGINAL = "original"
_DETAIL = 6.0
_LABELS = {"webp": "lossless side view", "none": "no side view", ORIGINAL: "the original"}


def main(argv: list[str]) -> int:
    """Measure; the table goes to stdout."""
    options = _parser().parse_args(argv)
    views = [SideView.parse(name.strip()) for name in options.sides.split(",")]
    samples = Samples(options.data, options.protocol, SideView("webp"), options.limit, options.every)
    probe, bundle = Probe.load(options.bundle, options.device)
    qualities = parse_qualities(options.qualities, bundle["qualities"])
    rows: list[dict[str, Any]] = []
    for sample in tqdm(samples, desc=f"grain {options.protocol}", unit="pair", disable=None):
        assert sample.side is not None  # lossless until here
        rows.append({"picture": sample.name, "side": ORIGINAL, "quality": None, **levels(sample.main)})
        seen = [(view, view.code(sample.side)[0]) for view in views]
        for quality in qualities:
            packet = probe.packet(sample.main, quality)
            for view, side in seen:
                frame = probe.decode(packet, sample.main.shape[:2], side, lossy=view.lossy)
                row = {"picture": sample.name, "side": str(view), "quality": quality}
                rows.append(row | levels(frame.image))
    document = report.describe_run(report.command_line("benchmarks", ["grain", *argv])) | {
        "protocol": options.protocol,
        "data": options.data.name,
        "pairs": len(samples),
        "bundle": bundle,
        "rows": rows,
    }
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return 0


def levels(image: RgbImage) -> dict[str, float]:
    """Return by how many grey levels the places of cells differ, for each of `PERIODS`, as `repeats_8` and so on.

    Args:
        image: (H, W, 3) uint8 RGB, at least one cell large; the worst colour counts.
    """
    detail = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), _DETAIL).astype(np.float32)
    found = {}
    for period in PERIODS:
        rows, columns = image.shape[0] // period, image.shape[1] // period
        cells = detail[: rows * period, : columns * period].reshape(rows, period, columns, period, 3)
        place = cells.mean((0, 2)).reshape(period * period, 3)
        found[f"repeats_{period}"] = float(np.ptp(place, axis=0).max())
    return found


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean over pictures of each side view and quality, the original first."""
    cases = dict.fromkeys((row["side"], row["quality"]) for row in rows)
    means = []
    for side, quality in sorted(cases, key=lambda case: (case[0] != ORIGINAL, list(cases).index(case))):
        same = [row for row in rows if (row["side"], row["quality"]) == (side, quality)]
        keys = [f"repeats_{period}" for period in PERIODS]
        means.append(
            {"side": side, "quality": quality} | {key: statistics.fmean(r[key] for r in same) for key in keys}
        )
    return means


def table(document: Mapping[str, Any]) -> str:
    """Return the means as a Markdown table."""
    lines = [
        f"Protocol {document['protocol']}, {document['pairs']} pairs of {document['data']}, grey levels",
        "",
        "| | quality | " + " | ".join(f"every {period} pixels" for period in PERIODS) + " |",
        "| --- | ---: | " + " | ".join("---:" for _ in PERIODS) + " |",
    ]
    for row in summary(document["rows"]):
        name = _LABELS.get(row["side"], f"side view {row['side'].replace('jpeg:', 'JPEG ')}")
        quality = "" if row["quality"] is None else row["quality"]
        values = " | ".join(f"{row[f'repeats_{period}']:.1f}" for period in PERIODS)
        lines.append(f"| {name} | {quality} | {values} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks grain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a stereo dataset, or a folder of several")
    add("--protocol", choices=sorted(PROTOCOLS), default="full", help="how pictures are cut (default full)")
    add("--every", type=int, default=1, help="take every n-th pair")
    add("--limit", type=int, help="at most so many pairs (after --every)")
    add("--qualities", help="qualities of ours, such as 0,5 (default: all)")
    add("--sides", default=",".join(SIDES), help="side views: webp, jpeg:QUALITY, none (default %(default)s)")
    add("--json", type=Path, help="write everything measured, per picture, to this file")
    add("--bundle", help="name or path of the bundle")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the decoder runs")
    return parser
