"""One picture a sweep: every metric over what the sweep turns, the references as lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import canvas
from benchmarks.rd.metrics import METRICS
from benchmarks.robust.bars import METRIC, WRONG_LIMIT_PERCENT
from benchmarks.robust.store import Store
from benchmarks.robust.sweeps import LOSSLESS, NONE, Sweep

_COLOURS = ("#c1121f", "#1d4e89", "#2a9d8f", "#e9a100")
_GROUPS = {"jpeg": "JPEG", "hevc": "HEVC intra", "hevc-half": "HEVC intra, half size"}
_MARKERS = "osD^"


def draw(store: Store, sweep: Sweep, metrics: Sequence[str], path: Path) -> Path | None:
    """Write a sweep's plot and return its path; None where it has nothing to show.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    places = store.places(sweep.name)
    if not places:
        return None
    rows = -(-len(metrics) // 2)
    figure = canvas.blank(12.0, 4.2 * rows + 0.8)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in grid[len(metrics) :]:
        axes.set_visible(False)
    for axes, key in zip(grid, metrics, strict=False):
        for number, quality in enumerate(store.qualities(sweep.name)):
            colour = _COLOURS[number % len(_COLOURS)]
            if sweep.name == "wrong":
                _scatter(axes, store, key, quality, colour)
            elif sweep.axis:
                _curves(axes, store, sweep, key, quality, colour)
            else:
                _columns(axes, store, sweep, key, quality, number, colour)
            if sweep.references and sweep.name != "wrong":
                _levels(axes, store, key, quality, places, colour)
        _label(axes, sweep, key)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(f"{sweep.title}, mean of {len(places)} pictures, 128x256")
    return canvas.save(figure, path)


def _curves(axes: Any, store: Store, sweep: Sweep, key: str, quality: int, colour: str) -> None:
    groups: dict[str, list[tuple[float, float]]] = {}
    for condition in store.conditions(sweep.name):
        x = store.mean("x", sweep.name, condition, quality)
        y = store.mean(key, sweep.name, condition, quality)
        if x is not None and y is not None:
            groups.setdefault(condition.partition(":")[0], []).append((x, y))
    for number, (group, points) in enumerate(groups.items()):
        xs, ys = zip(*sorted(points), strict=True)
        said = f"q{quality}" + (f", {_GROUPS[group]}" if group in _GROUPS else "")
        axes.plot(xs, ys, color=colour, marker=_MARKERS[number % 4], markersize=5, linewidth=1.6, label=said)


def _scatter(axes: Any, store: Store, key: str, quality: int, colour: str) -> None:
    """Draw every picture's change against none over the SSIM of the wrong view with the true one."""
    without = {row["place"]: row.get(key) for row in store.select("base", NONE, quality)}
    points = [
        (row["x"], _change(key, row[key], float(without[row["place"]] or 0)))
        for row in store.select("wrong", quality=quality)
        if key in row and without.get(row["place"])
    ]
    if points:
        xs, ys = zip(*points, strict=True)
        axes.scatter(xs, ys, s=16, alpha=0.7, color=colour, label=f"q{quality}")
    axes.axhline(0, color="#444444", linewidth=1)
    if key == METRIC:
        axes.axhline(WRONG_LIMIT_PERCENT, color="#c1121f", linestyle=":", linewidth=1.4)


def _columns(axes: Any, store: Store, sweep: Sweep, key: str, quality: int, number: int, colour: str) -> None:
    conditions = store.conditions(sweep.name)
    values = [store.mean(key, sweep.name, condition, quality) for condition in conditions]
    shown = [(i, value) for i, value in enumerate(values) if value is not None]
    width = 0.8 / max(1, len(store.qualities(sweep.name)))
    axes.bar(
        [i + number * width for i, _ in shown],
        [v for _, v in shown],
        width,
        color=colour,
        label=f"q{quality}",
    )
    axes.set_xticks(range(len(conditions)), list(conditions), rotation=35, ha="right", fontsize=7)


def _levels(axes: Any, store: Store, key: str, quality: int, places: set[str], colour: str) -> None:
    for condition, dash in ((LOSSLESS, "--"), (NONE, ":")):
        value = store.mean(key, "base", condition, quality, places)
        if value is not None:
            axes.axhline(value, color=colour, linestyle=dash, linewidth=1.1, label=f"q{quality}, {condition}")


def _label(axes: Any, sweep: Sweep, key: str) -> None:
    metric = METRICS[key]
    better = "higher" if metric.higher_is_better else "lower"
    if sweep.name == "wrong":
        unit = "dB" if metric.higher_is_better else "%"
        axes.set_ylabel(f"{metric.label}, change against no side view, {unit} ({better} is better)")
    else:
        axes.set_ylabel(f"{metric.label} ({better} is better)")
    if sweep.axis:
        axes.set_xlabel(sweep.axis)
    if sweep.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, which="both", alpha=0.25)


def _change(key: str, value: float, reference: float) -> float:
    """Return the difference in dB of a metric in dB, the change in percent of another."""
    return value - reference if METRICS[key].higher_is_better else 100 * (value / reference - 1)
