"""`python -m benchmarks temporal`: one drive with the frame before as side information, and without.

Every frame is rebuilt alone and goes through `cloud.temporal` as a server does it; both pictures are judged. The
packets are the same, so what differs is worth bits: how many more the lone frames would need for the same quality is
their BD-rate. Nothing is trained: the past stands behind the decoder, not in it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import canvas, report
from benchmarks.rd.bd import Curve, bd_quality, bd_rate
from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.ours import parse_qualities
from benchmarks.rd.protocol import PROTOCOLS, SideView
from benchmarks.rd.results import write_json
from benchmarks.sequence.clip import RATE_HZ, SYNTHETIC_SEED, Clip, draw_clip, read_clip
from benchmarks.sequence.flicker import flicker, motion, summary
from benchmarks.sequence.ours import SequenceCoder
from common.errors import UsageError
from common.types import RgbImage

SCHEMA = 1
MENDED, ALONE = "with the frame before", "every frame alone"
LABELS = (MENDED, ALONE)
DEFAULT_METRICS = "lpips_vgg,dists,psnr,ms_ssim_db"
_STREET = (370, 740)
"""Of the synthetic drive: what the 128x256 protocol cuts out."""

Row = dict[str, Any]


def main(argv: list[str]) -> int:
    """Measure; the table goes to stdout, the plot to --out."""
    options = _parser().parse_args(argv)
    side = SideView.parse(options.side)
    if side.kind == "none":
        raise UsageError("--side none: the past has nothing to say of pictures that are painted whole")
    metrics = parse_metrics(options.metrics)
    if options.frames is not None and options.frames < 2:
        raise UsageError(f"--frames {options.frames}: a sequence needs two frames at least")
    clip = _clip(options)
    if not 1 <= options.every < len(clip):
        raise UsageError(f"--every {options.every}: expected 1 to {len(clip) - 1}, so that a frame is judged")
    device = _device(options.device)
    judge = Judge(metrics, options.weights, device)
    coder, bundle = SequenceCoder.load(options.bundle, device, None)
    qualities = parse_qualities(options.qualities, bundle["qualities"])
    arrived = [side.code(view)[0] for view in clip.side]
    points = []
    with tqdm(total=len(qualities) * len(clip), desc="temporal", unit="frame", disable=None) as bar:
        for quality in qualities:
            points += measure(clip, arrived, side.lossy, quality, coder, judge, options.every, bar)
    seed = SYNTHETIC_SEED if options.data is None else None
    document = report.describe_run(report.command_line("benchmarks", ["temporal", *argv]), seed) | {
        "schema": SCHEMA,
        "protocol": options.protocol,
        "data": clip.name,
        "frames": len(clip),
        "rate_hz": RATE_HZ,
        "every": options.every,
        "side": str(side),
        "bundle": bundle,
        "metrics": list(metrics),
        "points": points,
        "without": differences(points, metrics),
    }
    path = options.json or options.out / "temporal.json"
    write_json(path, document)
    print(table(document))
    print(f"wrote {path}\nwrote {draw(document, options.out / 'curves.png')}", file=sys.stderr)
    return 0


def measure(
    clip: Clip,
    arrived: Sequence[RgbImage | None],
    lossy: bool,
    quality: int,
    coder: SequenceCoder,
    judge: Judge,
    every: int,
    bar: Any,
) -> list[dict[str, Any]]:
    """Return both points of a quality: label, quality, bytes and bpp of a frame, the means, flicker, and the rows.

    Args:
        clip: the drive, as it is coded.
        arrived: its side views after their codec.
        lossy: that codec loses something.
        quality: index of ours.
        coder: both ends.
        judge: the metrics.
        every: judge every n-th frame; flicker is measured on all.
        bar: a progress bar that counts frames.
    """
    packets, mending = coder.encode(clip.main, quality).packets, coder.mending()
    rows: dict[str, list[Row]] = {label: [] for label in LABELS}
    before: dict[str, RgbImage] = {}
    for frame, source in enumerate(clip.main):
        view = arrived[frame]
        assert view is not None  # `none` is refused
        rebuilt = coder.decode(packets[frame], frame, view, lossy)
        shown = {MENDED: mending.step(rebuilt, frame, view), ALONE: rebuilt.image}
        found: dict[str, Row] = {label: {"frame": frame} for label in LABELS}
        if before:
            moved = motion(clip.main[frame - 1], source)
            for label in LABELS:
                found[label] |= flicker(before[label], shown[label], moved) or {}
        # The first frame has no past: it would say nothing of one.
        if frame and frame % every == 0:
            for label, values in zip(LABELS, judge.measure(source, [shown[k] for k in LABELS]), strict=True):
                found[label] |= values
        for label in LABELS:
            rows[label].append(found[label])
        before = shown
        bar.update()
    size = statistics.fmean(len(packet) for packet in packets)
    pixels = clip.height * clip.width
    return [
        {
            "label": label,
            "quality": quality,
            "bytes": size,
            "bpp": size * 8 / pixels,
            **means(rows[label], judge.metrics),
            "flicker": stability(rows[label]),
            "frames": rows[label],
        }
        for label in LABELS
    ]


def stability(rows: Sequence[Row]) -> dict[str, float] | None:
    """Return the means of flicker; None where no pixel was trusted. No ratio: a source that stands still has none."""
    found = summary(rows)
    return None if found is None else {key: value for key, value in found.items() if key != "ratio"}


def means(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, float]:
    """Return the mean of each metric over the rows that were judged."""
    judged = [row for row in rows if metrics[0] in row]
    return {key: statistics.fmean(row[key] for row in judged) for key in metrics}


def differences(points: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return what leaving the past out costs: per metric BD-rate (per cent more bits) and BD-quality at equal rate."""

    def curve(label: str, key: str) -> Curve:
        return [(p["bpp"], p[key]) for p in points if p["label"] == label]

    found = []
    for key in metrics:
        alone, mended, better = curve(ALONE, key), curve(MENDED, key), METRICS[key].higher_is_better
        found.append(
            {
                "metric": key,
                "bd_rate_percent": bd_rate(alone, mended, better).as_dict(),
                "bd_quality": bd_quality(alone, mended, better).as_dict(),
            }
        )
    return found


def table(document: Mapping[str, Any]) -> str:
    """Return the points and what leaving the past out costs as Markdown."""
    metrics = document["metrics"]
    heads = ["quality", "", "bytes", "bpp"]
    heads += [f"{METRICS[k].label} {'↑' if METRICS[k].higher_is_better else '↓'}" for k in metrics]
    heads += ["warp error", "source", "change error"]
    lines = [_line(heads), _line(["---:", "---"] + ["---:"] * (len(heads) - 2))]
    for point in document["points"]:
        cells = [str(point["quality"]), point["label"], f"{point['bytes']:.1f}", f"{point['bpp']:.4f}"]
        cells += [f"{point[key]:.{METRICS[key].digits + 1}f}" for key in metrics]
        moved = point["flicker"]
        keys = ("warp_error", "warp_error_source", "change_error")
        cells += ["" if moved is None else f"{moved[key]:.2f}" for key in keys]
        lines.append(_line(cells))
    lines += ["", _line(["without the frame before", *(METRICS[k].label for k in metrics)])]
    lines.append(_line(["---"] + ["---:"] * len(metrics)))
    for name, key, unit in (("BD-rate", "bd_rate_percent", " %"), ("at equal rate", "bd_quality", "")):
        cells = [name]
        for row in document["without"]:
            digits = 1 if unit else METRICS[row["metric"]].digits + 1
            value = row[key]["value"]
            cells.append(row[key]["why"] if value is None else f"{value:+.{digits}f}{unit}")
        lines.append(_line(cells))
    judged = "every frame" if document["every"] == 1 else f"one frame in {document['every']}"
    said = f"{document['frames']} frames of {document['data']}, protocol {document['protocol']}"
    said += f", side view {document['side']}"
    return "\n".join([f"{said}; {judged} judged, the first left out", "", *lines])


def draw(document: Mapping[str, Any], path: Path) -> Path:
    """Plot each metric and the flicker over the rate, with the past and without; return the path.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    keys = [*document["metrics"], "warp_error"]
    drawn = canvas.blank(13.0, 4.2 * -(-len(keys) // 3))
    from matplotlib.ticker import LogLocator, NullFormatter  # behind the error that says what to install

    grid = drawn.subplots(-(-len(keys) // 3), 3, squeeze=False).ravel()
    for axes in grid[len(keys) :]:
        axes.set_visible(False)
    for axes, key in zip(grid, keys, strict=False):
        for label, colour, marker in ((MENDED, "#c1121f", "o"), (ALONE, "#1d4e89", "s")):
            points = [p for p in document["points"] if p["label"] == label]
            if key == "warp_error":
                points = [p | p["flicker"] for p in points if p["flicker"] is not None]
            values = [p[key] for p in points]
            axes.plot([p["bpp"] for p in points], values, color=colour, marker=marker, label=label)
        levels = [p["flicker"]["warp_error_source"] for p in document["points"] if p["flicker"] is not None]
        if key == "warp_error" and levels:
            axes.axhline(statistics.fmean(levels), color="#444444", linestyle="--", label="the source's own")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("bits per pixel of the main view")
        axes.set_title(METRICS[key].label if key in METRICS else "change along the motion, grey levels")
        axes.grid(True, which="both", alpha=0.25)
        axes.legend(fontsize=8)
    return canvas.save(drawn, path)


def _clip(options: argparse.Namespace) -> Clip:
    """Return the drive, cut by the protocol."""
    cut = PROTOCOLS[options.protocol]
    if options.data is None:
        clip = draw_clip(*_STREET, options.frames or 20)
    else:
        clip = read_clip(options.data, options.frames)
    return Clip(clip.name, [cut(view) for view in clip.main], [cut(view) for view in clip.side])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks temporal",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="one drive of a stereo dataset (default: a synthetic street)")
    add("--protocol", choices=sorted(PROTOCOLS), default="128x256", help="how pictures are cut")
    add("--frames", type=int, metavar="N", help="the first N frames (default: all; 20 of the street)")
    add("--every", type=int, default=1, metavar="N", help="judge every N-th frame; all are decoded")
    add("--qualities", help="qualities of ours, such as 0,2,5 (default: all)")
    add("--side", default="webp", help="the side view's codec: webp (lossless) or jpeg:QUALITY")
    add("--metrics", default=DEFAULT_METRICS, help="comma-separated (default %(default)s)")
    add("--weights", type=Path, help="folder of the metric networks' weights (default: $MDIC_METRIC_WEIGHTS)")
    add("--bundle", help="name or path of the bundle")
    add("--out", type=Path, default=Path("out/temporal"), metavar="DIR", help="default %(default)s")
    add("--json", type=Path, metavar="FILE", help="where everything goes (default DIR/temporal.json)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the decoder and the metrics")
    return parser
