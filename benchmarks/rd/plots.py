"""One plot per metric: our curve, the conventional codecs, the zero-bit controls, the paper's points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.rd.metrics import METRICS
from benchmarks.rd.results import Results
from common.errors import MissingDependency

PAPER_LABEL = "paper, 10 steps (read off a plot, other images of the same family)"
PAPER_BPP = (0.0030, 0.0231, 0.0388, 0.0554, 0.0821)
PAPER_POINTS = {
    "lpips_vgg": (0.269, 0.239, 0.215, 0.198, 0.197),
    "dists": (0.152, 0.140, 0.130, 0.122, 0.120),
    "psnr": (19.51, 20.11, 20.85, 21.30, 22.72),
    "ms_ssim_db": (8.00, 8.60, 9.38, 9.86, 10.86),
}
"""KITTI Stereo, 128x256, lossless side view (arXiv 2605.22061)."""

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
    "oracle-warp": ("#1b7f3b", "--"),
}


def paper_points(protocol: str) -> dict[str, list[tuple[float, float]]]:
    """Return metric -> published (bpp, value) points that may stand beside a protocol's own."""
    if protocol != "128x256":
        return {}
    return {key: list(zip(PAPER_BPP, values, strict=True)) for key, values in PAPER_POINTS.items()}


def draw(results: Results, protocol: str, images: int, folder: Path) -> list[Path]:
    """Write `METRIC.png` for every metric measured and return the paths.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("matplotlib", "bench") from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for key in results.metrics:
        figure = Figure(figsize=(8.5, 5.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _curves(axes, results, key)
        _published(axes, protocol, key)
        _levels(axes, results, key)
        metric = METRICS[key]
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("rate of the main view, bits per pixel (packet or payload bytes x 8)")
        axes.set_ylabel(f"{metric.label} ({'higher' if metric.higher_is_better else 'lower'} is better)")
        axes.set_title(f"{metric.label}, protocol {protocol}, mean of {images} pictures")
        axes.grid(True, which="both", alpha=0.25)
        axes.legend(fontsize=7.5, loc="best")
        path = folder / f"{key}.png"
        figure.savefig(path)
        written.append(path)
    return written


def _curves(axes: Any, results: Results, key: str) -> None:
    for method, label in results.methods("ours", "codec").items():
        curve = results.curve(method, key)
        if curve:
            colour, marker, width = _STYLE.get(method, ("#333333", "o", 1.2))
            rates, values = zip(*curve, strict=True)
            axes.plot(rates, values, color=colour, marker=marker, markersize=5, linewidth=width, label=label)


def _published(axes: Any, protocol: str, key: str) -> None:
    points = paper_points(protocol).get(key)
    if points:
        rates, values = zip(*points, strict=True)
        axes.plot(rates, values, color="#000000", linestyle="--", marker=".", linewidth=1, label=PAPER_LABEL)


def _levels(axes: Any, results: Results, key: str) -> None:
    for point in results.points.values():
        value = point.mean().get(key)
        if point.kind == "control" and value is not None:
            colour, dash = _CONTROLS.get(point.method, ("#777777", ":"))
            axes.axhline(value, color=colour, linestyle=dash, linewidth=1.2, label=point.label)
