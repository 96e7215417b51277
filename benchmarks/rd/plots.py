"""One plot per metric: our curve, the conventional codecs, the zero-bit controls, the paper's points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import canvas
from benchmarks.rd import paper
from benchmarks.rd.metrics import METRICS
from benchmarks.rd.results import Results

_STYLE = {
    "mdic": ("#c1121f", "o", 2.4),
    "mdic-noside": ("#e07a5f", "v", 1.4),
    "jpeg": ("#8d99ae", "s", 1.2),
    "webp": ("#2a9d8f", "D", 1.2),
    "jxl": ("#7b2cbf", "^", 1.2),
    "hevc": ("#e9a100", "P", 1.2),
    "av1": ("#1d4e89", "X", 1.4),
}
_CONTROLS = {
    "side-copied": ("#777777", ":"),
    "best-shift": ("#444444", "-."),
    "monocular-warp": ("#9c6644", (0, (5, 1, 1, 1, 1, 1))),
    "oracle-warp": ("#1b7f3b", "--"),
}


PANEL = ("lpips_vgg", "dists", "psnr", "ms_ssim_db")


def draw(results: Results, protocol: str, images: int, folder: Path) -> list[Path]:
    """Write `METRIC.png` for every metric measured and return the paths.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    return [draw_one(results, protocol, images, key, folder / f"{key}.png") for key in results.metrics]


def draw_one(results: Results, protocol: str, images: int, key: str, path: Path) -> Path:
    """Write one metric's plot and return its path."""
    figure = canvas.blank(8.5, 5.6)
    axes = figure.add_subplot()
    _plot(axes, results, protocol, key)
    axes.set_title(f"{METRICS[key].label}, protocol {protocol}, mean of {images} pictures")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.5, loc="best")
    return canvas.save(figure, path)


def draw_panel(results: Results, protocol: str, images: int, path: Path) -> Path:
    """Write the four metrics that are judged together as one picture with one legend and return its path."""
    keys = [key for key in PANEL if key in results.metrics] or list(results.metrics)
    figure = canvas.blank(13.0, 4.7 * -(-len(keys) // 2) + 0.9)
    grid = figure.subplots(-(-len(keys) // 2), 2, squeeze=False).ravel()
    for axes, key in zip(grid, keys, strict=False):
        _plot(axes, results, protocol, key)
    for axes in grid[len(keys) :]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(f"Protocol {protocol}, mean of {images} pictures")
    return canvas.save(figure, path)


def _plot(axes: Any, results: Results, protocol: str, key: str) -> None:
    _curves(axes, results, key)
    _published(axes, protocol, key)
    _levels(axes, results, key)
    metric = METRICS[key]
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("rate of the main view, bits per pixel (packet or payload bytes x 8)")
    axes.set_ylabel(f"{metric.label} ({'higher' if metric.higher_is_better else 'lower'} is better)")
    axes.grid(True, which="both", alpha=0.25)


def _curves(axes: Any, results: Results, key: str) -> None:
    for method, label in results.methods("ours", "codec").items():
        curve = results.curve(method, key)
        if curve:
            colour, marker, width = _STYLE.get(method, ("#333333", "o", 1.2))
            rates, values = zip(*curve, strict=True)
            axes.plot(rates, values, color=colour, marker=marker, markersize=5, linewidth=width, label=label)


def _published(axes: Any, protocol: str, key: str) -> None:
    points = paper.paper_points(protocol).get(key)
    if points:
        rates, values = zip(*points, strict=True)
        axes.plot(
            rates, values, color="#000000", linestyle="--", marker=".", linewidth=1, label=paper.label()
        )


def _levels(axes: Any, results: Results, key: str) -> None:
    for point in results.points.values():
        value = point.mean().get(key)
        if point.kind == "control" and value is not None:
            colour, dash = _CONTROLS.get(point.method, ("#777777", ":"))
            axes.axhline(value, color=colour, linestyle=dash, linewidth=1.2, label=point.label)
