"""The plot of a run, and one scene as perception sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import canvas
from benchmarks.downstream.judge import Answer
from benchmarks.downstream.segmenter import colours
from benchmarks.downstream.subjects import Candidate
from benchmarks.downstream.tally import MEASURES
from benchmarks.rd import sheet
from common.types import RgbImage

PANELS = ("seg_miou", "seg_agreement", "stereo_3px", "stereo_d1", "flow_3px")
COLUMNS = 3
_CURVES = {
    "mdic": ("#c1121f", "o", 2.4),
    "av1": ("#1d4e89", "X", 1.4),
    "av1-shrunk": ("#6ea4d4", "P", 1.4),
}
_LEVELS = {
    "side-copied": ("#777777", ":"),
    "best-shift": ("#444444", "-."),
    "oracle-warp": ("#1b7f3b", "--"),
    "jpeg-90": ("#e9a100", (0, (1, 2))),
}
_FARTHEST_PX = 96.0


def draw(points: Sequence[dict[str, Any]], pictures: int, path: Path) -> Path:
    """Write a panel per measure: curves over the rate with 95 % intervals, controls as levels.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    measures = {m.key: m for m in MEASURES}
    shown = [key for key in PANELS if any(p["mean"].get(key) is not None for p in points)]
    columns = 2 if len(shown) == 4 else min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = canvas.blank(4.6 * columns, 4.0 * rows + 1.0)
    for i, key in enumerate(shown):
        axes = figure.add_subplot(rows, columns, i + 1)
        _curves(axes, points, key)
        _levels(axes, points, key)
        better = "higher" if measures[key].higher_is_better else "lower"
        axes.set_title(f"{measures[key].label} ({better} is better)", fontsize=10)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:.2g}")
        axes.tick_params(axis="x", which="both", labelsize=8)
        axes.set_xlabel("bits per pixel of the main view")
        axes.grid(True, which="both", alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(f"Agreement with the source's own answers, {pictures} pictures")
    return canvas.save(figure, path)


def _curves(axes: Any, points: Sequence[dict[str, Any]], key: str) -> None:
    for method, (colour, marker, width) in _CURVES.items():
        found = [p for p in points if p["method"] == method and p["mean"].get(key) is not None]
        found.sort(key=lambda p: p["mean"]["bpp"])
        if not found:
            continue
        rates, values = [p["mean"]["bpp"] for p in found], [p["mean"][key] for p in found]
        axes.plot(
            rates, values, color=colour, marker=marker, markersize=5, linewidth=width, label=found[0]["label"]
        )
        for p in found:
            if key in p["interval"]:
                axes.vlines(p["mean"]["bpp"], *p["interval"][key], color=colour, linewidth=1, alpha=0.6)


def _levels(axes: Any, points: Sequence[dict[str, Any]], key: str) -> None:
    for point in points:
        value = point["mean"].get(key)
        if point["kind"] in ("control", "reference") and value is not None:
            colour, dash = _LEVELS.get(point["method"], ("#777777", ":"))
            axes.axhline(value, color=colour, linestyle=dash, linewidth=1.2, label=point["label"])


def scene_tiles(
    source: RgbImage, seen: Answer, judged: Sequence[tuple[Candidate, Answer]]
) -> list[sheet.Tile]:
    """Return rows of four tiles: picture, its segmentation, where that differs from the source's, its disparity.

    The rows: the source, ours at the middle quality, AV1 at its bytes (full size, then shrunk where it had to be), the
    best shift.
    """
    mine = [c.subject.setting for c, _ in judged if c.subject.method == "mdic"]
    middle = mine[len(mine) // 2] if mine else None
    tiles = _row("source", source, seen, seen)
    for method in ("mdic", "av1", "av1-shrunk", "best-shift"):
        for candidate, answer in judged:
            subject = candidate.subject
            again = subject.method == "av1-shrunk" and candidate.extra.get("factor") == 1
            if subject.method == method and subject.setting in (None, middle) and not again:
                caption = f"{subject.label}, bytes: {candidate.payload_bytes}"
                tiles += _row(caption, candidate.image, seen, answer)
    return tiles


def _row(caption: str, image: RgbImage, seen: Answer, answer: Answer) -> list[sheet.Tile]:
    labels = differing = None
    if answer.labels is not None and seen.labels is not None:
        labels = colours(answer.labels)
        differing = np.where((answer.labels != seen.labels)[:, :, None], labels, np.uint8(235))
    return [
        sheet.Tile(caption, image),
        sheet.Tile("segmentation", labels),
        sheet.Tile("labels that differ from the source's", differing),
        sheet.Tile("disparity (black: none found)", _disparity_colours(answer)),
    ]


def _disparity_colours(answer: Answer) -> RgbImage:
    levels = np.clip(answer.disparity / _FARTHEST_PX * 255, 0, 255).astype(np.uint8)
    painted = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    painted[answer.holes] = 0
    return np.ascontiguousarray(painted)
