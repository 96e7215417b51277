"""An empty figure without a display, and how it is written: the same numbers give the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import MissingDependency


def blank(width: float, height: float) -> Any:
    """Return a matplotlib figure of so many inches that draws itself into a PNG.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency("matplotlib", "bench") from error
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path) -> Path:
    """Write a figure as PNG, its folder too, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # no version of matplotlib in the file
    return path
