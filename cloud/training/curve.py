"""The training curve as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.errors import InputError, MissingDependency

PANELS = ("total", "bpp", "lpips", "mse", "geometry", "warp", "texture", "mask")
_HEIGHT, _WIDTH = 5.2, 13.0


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's `curve.jsonl`, in order.

    Raises:
        InputError: a line is not a JSON object with a step, or there is none.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as why:
            raise InputError(f"{path}:{number}: {why}") from why
        if not isinstance(row, dict) or "step" not in row:
            raise InputError(f"{path}:{number}: not a row of a training curve")
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no rows yet (one is written every 25 steps)")
    return rows


def smooth(values: list[float], weight: float = 0.8) -> list[float]:
    """Return the exponential moving average of values: crops differ more than steps do."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else out[-1] * weight + value * (1 - weight))
    return out


def draw_curve(rows: list[dict[str, Any]], target: Path) -> Path:
    """Draw the losses over steps into a PNG and return its path.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as why:
        raise MissingDependency("matplotlib", "train") from why
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [name for name in PANELS if any(name in row for row in rows)]
    columns = max(1, -(-len(panels) // 2))
    figure, axes = pyplot.subplots(2, columns, figsize=(_WIDTH, _HEIGHT), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, panels, strict=False):
        known = [(row["step"], float(row[name])) for row in rows if name in row]
        steps, values = [step for step, _ in known], [value for _, value in known]
        axis.plot(steps, values, color="#bbbbbb", linewidth=0.8)
        axis.plot(steps, smooth(values), color="#c1121f", linewidth=1.6)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    figure.supxlabel("step (grey: means of 25; red: smoothed)", fontsize=8)
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)
    return target
