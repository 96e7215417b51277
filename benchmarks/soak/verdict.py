"""Say from samples over time whether a process grows: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

RSS_GROWTH = 0.05
"""Share by which memory may grow from after the warm-up to the end."""
COUNT_GROWTH = 1.0
"""Descriptors, threads or tasks: a connection that just opens may be seen, a leak of one a connection may not."""
WARM_UP = 0.2
"""Share of the frames before the first look ..."""
LOOK = 0.15
"""... which, as the last one, takes the samples of this share."""
LEAST_SAMPLES = 3


@dataclass(frozen=True)
class Sample:
    """Hold one look: frames answered by then, and what a process held."""

    frames: int
    rss_kib: int
    descriptors: int
    threads: int
    tasks: int | None = None


def growth(samples: Sequence[Sample], frames: int) -> dict[str, Any] | None:
    """Return how each quantity went from after the warm-up to the end (medians of both looks).

    Returns None when there are too few samples to say.
    """
    early = [s for s in samples if WARM_UP * frames <= s.frames < (WARM_UP + LOOK) * frames]
    late = [s for s in samples if (1 - LOOK) * frames <= s.frames]
    if min(len(early), len(late)) < LEAST_SAMPLES:
        return None
    found: dict[str, Any] = {"samples": [len(early), len(late)]}
    for name in ("rss_kib", "descriptors", "threads", "tasks"):
        before = [value for s in early if (value := getattr(s, name)) is not None]
        after = [value for s in late if (value := getattr(s, name)) is not None]
        if before and after:
            found[name] = {"after_warm_up": median(before), "end": median(after)}
    rss = found["rss_kib"]
    rss["growth"] = round(rss["end"] / rss["after_warm_up"] - 1, 4)
    return found


def problems(name: str, found: dict[str, Any] | None) -> list[str]:
    """Return what is wrong with a process's growth, one line each; nothing means it passes."""
    if found is None:
        return [f"{name}: too few samples to tell growth from warm-up; take more frames"]
    lines = []
    rss = found["rss_kib"]
    if rss["growth"] >= RSS_GROWTH:
        grown = f"{rss['after_warm_up'] / 1024:.1f} to {rss['end'] / 1024:.1f} MiB"
        lines.append(f"{name}: memory grew by {100 * rss['growth']:.1f} % ({grown})")
    for quantity in ("descriptors", "threads", "tasks"):
        if quantity in found:
            before, after = found[quantity]["after_warm_up"], found[quantity]["end"]
            if after - before > COUNT_GROWTH:
                lines.append(f"{name}: {quantity} grew from {before:g} to {after:g}")
    return lines
