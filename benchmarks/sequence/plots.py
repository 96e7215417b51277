"""Pictures of a run: quality over both cameras' rate, and the chosen point over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import canvas
from benchmarks.rd.metrics import METRICS
from benchmarks.sequence.budgets import BUDGETS_KBPS, Operation, front, hull
from benchmarks.sequence.compare import (
    BEST,
    BOTH,
    EQUAL,
    MAIN,
    Measured,
    our_operations,
    rival_operations,
    source_errors,
)
from benchmarks.sequence.lowdelay import codec_named
from benchmarks.sequence.showcase import Exhibit

_OURS = "#c1121f"
_COLOURS = {"av1": "#1d4e89", "av1-half": "#5fa8d3", "hevc": "#e9a100"}
_TEMPORAL = "#2a9d8f"


def draw_rates(
    tracks: Sequence[Measured], metrics: Sequence[str], rivals: Sequence[str], title: str, folder: Path
) -> list[Path]:
    """Write `METRIC.png` for every metric: both cameras' mean and the main view alone over the total rate.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    written = []
    for metric in metrics:
        figure = canvas.blank(13, 5.4)
        for place, scope in enumerate((BOTH, MAIN), start=1):
            axes = figure.add_subplot(1, 2, place)
            _ours(axes, tracks, metric, scope)
            for rival in rivals:
                _rival(axes, tracks, rival, metric, scope)
            for budget in BUDGETS_KBPS:
                axes.axvline(budget, color="#999999", linewidth=0.8, linestyle=":")
            sense = "higher" if METRICS[metric].higher_is_better else "lower"
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel("both cameras together, kb/s at 10 Hz")
            axes.set_ylabel(f"{METRICS[metric].label} ({sense} is better)")
            axes.set_title("mean of both cameras" if scope == BOTH else "main view alone")
            axes.grid(True, which="both", alpha=0.25)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7.5)
        figure.suptitle(title)
        written.append(canvas.save(figure, folder / f"{metric}.png"))
    return written


def _ours(axes: Any, tracks: Sequence[Measured], metric: str, scope: str) -> None:
    points = our_operations(tracks, metric, scope)
    if not points:
        return
    axes.scatter([p.total_kbps for p in points], [p.quality for p in points], s=14, color=_OURS, alpha=0.45)
    label = "MDIC + AV1 side view (best points joined)"
    _line(axes, front(points, METRICS[metric].higher_is_better), _OURS, "-", label, 2.2)


def _rival(axes: Any, tracks: Sequence[Measured], rival: str, metric: str, scope: str) -> None:
    better, colour = METRICS[metric].higher_is_better, _COLOURS.get(rival, "#555555")
    name = f"{codec_named(rival).label} on both"
    equal = sorted(rival_operations(tracks, rival, metric, EQUAL, scope), key=lambda o: o.total_kbps)
    _line(axes, equal, colour, "-", name, 1.4)
    if scope == BOTH:
        best = hull(rival_operations(tracks, rival, metric, BEST, scope), better)
        _line(axes, best, colour, "--", f"{name}, best split", 1.0)


def _line(axes: Any, points: Sequence[Operation], colour: str, dash: str, label: str, width: float) -> None:
    if points:
        x, y = [p.total_kbps for p in points], [p.quality for p in points]
        axes.plot(x, y, dash, color=colour, marker=".", linewidth=width, label=label)


def draw_time(exhibits: Sequence[Exhibit], metric: str, path: Path) -> Path:
    """Write the showcase over time: a metric on the judged frames, warp and change errors on every pair.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    figure = canvas.blank(9, 9)
    quality, warp, change = (figure.add_subplot(3, 1, place) for place in (1, 2, 3))
    for exhibit in exhibits:
        rows, track = exhibit.main.rows, exhibit.main.track
        ours = _TEMPORAL if track.temporal else _OURS
        colour = ours if track.is_ours else _COLOURS.get(track.codec, "#555555")
        label = f"{exhibit.label}, {exhibit.total_kbps:.0f} kb/s"
        judged = [row for row in rows if metric in row]
        pairs = [row for row in rows if row.get("warp_error") is not None]
        quality.plot(
            [r["frame"] for r in judged], [r[metric] for r in judged], ".-", color=colour, label=label
        )
        for axes, key in ((warp, "warp_error"), (change, "change_error")):
            axes.plot([r["frame"] for r in pairs], [r[key] for r in pairs], ".-", color=colour, label=label)
    if exhibits:
        pairs = [row for row in exhibits[0].main.rows if row.get("warp_error") is not None]
        errors = source_errors(pairs)
        warp.plot([r["frame"] for r in pairs], errors, "--", color="#222222", label="source")
    quality.set_ylabel(METRICS[metric].label)
    warp.set_ylabel("warp error, grey levels")
    change.set_ylabel("change error, grey levels")
    change.set_xlabel("frame")
    for axes in (quality, warp, change):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True, alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7.5)
    return canvas.save(figure, path)
