"""What a group of variants came to: means, Bjøntegaard differences against the reference, a table, a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import canvas
from benchmarks.rd.bd import Curve, bd_quality, bd_rate
from benchmarks.rd.metrics import METRICS

SCHEMA = 1
PANEL = ("lpips_vgg", "dists", "psnr", "ms_ssim_db")
_COLOURS = ("#c1121f", "#1d4e89", "#2a9d8f", "#e9a100", "#7b2cbf", "#6a994e", "#e07a5f", "#444444", "#8d99ae")
_MARKS = "osD^vPX*<"


@dataclass
class Outcome:
    """One variant's result.

    Attributes:
        name: the variant's key.
        label: its name for readers.
        facts: of its training.
        rows: a dict per picture and quality.
    """

    name: str
    label: str
    facts: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def points(self) -> list[dict[str, Any]]:
        """Return the mean of every number at each quality."""
        out = []
        for quality in sorted({row["quality"] for row in self.rows}):
            rows = [row for row in self.rows if row["quality"] == quality]
            keys = [key for key, value in rows[0].items() if key != "quality" and _is_number(value)]
            out.append(
                {"quality": quality} | {key: statistics.fmean(row[key] for row in rows) for key in keys}
            )
        return out

    def curve(self, metric: str) -> Curve:
        """Return the points (bpp, metric)."""
        return [(point["bpp"], point[metric]) for point in self.points() if metric in point]


def differences(outcome: Outcome, reference: Outcome, metrics: Sequence[str]) -> dict[str, Any]:
    """Return BD-rate and BD-quality of a variant against the reference, by metric.

    A positive BD-rate is what taking the part out costs in bits; where the curves share no quality, `why` says
    so and the BD-quality (positive: the variant is better) is what is left to compare.
    """
    found = {}
    for key in metrics:
        better = METRICS[key].higher_is_better
        mine, theirs = outcome.curve(key), reference.curve(key)
        found[key] = {
            "bd_rate_percent": bd_rate(mine, theirs, better).as_dict(),
            "bd_quality": bd_quality(mine, theirs, better).as_dict(),
        }
    return found


def document(
    about: Mapping[str, Any],
    outcomes: Sequence[Outcome],
    reference: str,
    metrics: Sequence[str],
    complete: bool,
) -> dict[str, Any]:
    """Return everything for the JSON file."""
    base = next((outcome for outcome in outcomes if outcome.name == reference), None)
    variants = []
    for outcome in outcomes:
        entry: dict[str, Any] = {
            "name": outcome.name,
            "label": outcome.label,
            "training": dict(outcome.facts),
        }
        entry |= {"points": outcome.points(), "images": outcome.rows, "against_reference": None}
        if base is not None and outcome is not base:
            entry["against_reference"] = differences(outcome, base, metrics)
        variants.append(_rounded(entry))
    return {
        "schema": SCHEMA,
        "complete": complete,
        **about,
        "reference": reference,
        "metrics": list(metrics),
        "variants": variants,
    }


def table(found: Mapping[str, Any]) -> str:
    """Return a result file's content as Markdown: BD-rate of each variant, and where its curve lies."""
    metrics = [key for key in found["metrics"] if key in METRICS]
    names = [f"BD-rate {METRICS[key].label}" for key in metrics]
    lines = [
        _line(["variant", "weights", "steps", "bpp", *names]),
        _line(["---"] + ["---:"] * (3 + len(names))),
    ]
    for entry in found["variants"]:
        training, points = entry["training"], entry["points"]
        cells = [entry["label"], f"{training['parameters'] / 1e6:.2f} M", str(training.get("steps", ""))]
        cells.append(f"{points[0]['bpp']:.4f}-{points[-1]['bpp']:.4f}" if points else "")
        for key in metrics:
            against = entry["against_reference"]
            cells.append("reference" if against is None else _difference(against[key], key))
        lines.append(_line(cells))
    return "\n".join(lines)


def point_table(found: Mapping[str, Any]) -> str:
    """Return the means at each quality as Markdown."""
    metrics = [key for key in found["metrics"] if key in METRICS]
    heads = ["variant", "quality", "bytes", "bpp", *(METRICS[key].label for key in metrics)]
    lines = [_line(heads), _line(["---"] + ["---:"] * (len(heads) - 1))]
    for entry in found["variants"]:
        for point in entry["points"]:
            cells = [entry["label"], str(point["quality"]), f"{point['bytes']:.1f}", f"{point['bpp']:.4f}"]
            cells += [f"{point[key]:.{METRICS[key].digits}f}" for key in metrics]
            lines.append(_line(cells))
    return "\n".join(lines)


def sections(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of a result file by name, for the documents."""
    return {"rates": table(found), "points": point_table(found)}


def draw(found: Mapping[str, Any], title: str, path: Path) -> Path:
    """Write the curves of every variant, a panel per metric, and return the path.

    A variant that shares no quality with the reference would press all the others into a line: it is named, not drawn.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    keys = [key for key in PANEL if key in found["metrics"]] or list(found["metrics"])
    rows = -(-len(keys) // 2)
    figure = canvas.blank(13.0, 4.6 * rows + 0.9)
    from matplotlib.ticker import LogLocator, NullFormatter  # behind the error that says what to install

    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    apart = [entry["label"] for entry in found["variants"] if _is_apart(entry, keys)]
    for axes, key in zip(grid, keys, strict=False):
        for number, entry in enumerate(found["variants"]):
            curve = [(point["bpp"], point[key]) for point in entry["points"]]
            if curve and entry["label"] not in apart:
                width = 2.6 if entry["name"] == found["reference"] else 1.3
                style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKS[number % len(_MARKS)]}
                axes.plot(*zip(*sorted(curve), strict=True), label=entry["label"], linewidth=width, **style)
        metric = METRICS[key]
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("rate of the main view, bits per pixel (packet bytes x 8)")
        axes.set_ylabel(f"{metric.label} ({'higher' if metric.higher_is_better else 'lower'} is better)")
        axes.grid(True, which="both", alpha=0.25)
    for axes in grid[len(keys) :]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(title + (f" (off the scale: {', '.join(apart)})" if apart else ""))
    return canvas.save(figure, path)


def _is_apart(entry: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Tell whether a variant shares no quality with the reference, by any metric."""
    against = entry["against_reference"]
    return against is not None and all(against[key]["bd_rate_percent"]["value"] is None for key in keys)


def _difference(found: Mapping[str, Any], key: str) -> str:
    rate, quality = found["bd_rate_percent"], found["bd_quality"]
    if rate["value"] is not None:
        return f"{rate['value']:+.1f} %"
    if quality["value"] is not None:
        return f"no common quality; {quality['value']:+.{METRICS[key].digits}f} at equal rate"
    return str(rate["why"])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
