"""One operating point looked at closely: every frame, stability over time, temporal side information, a video."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.sequence.budgets import best_operation, front
from benchmarks.sequence.clip import Clip
from benchmarks.sequence.compare import BOTH, Measured, measured, our_operations
from benchmarks.sequence.lowdelay import CodedVideo, LowDelayCodec
from benchmarks.sequence.measure import Coded, Track, Walk
from benchmarks.sequence.movie import Movie
from common.types import RgbImage

CodeView = Callable[[str, LowDelayCodec, int], CodedVideo]
"""(view, codec, setting) to its coded stream, from the store where it is there."""


@dataclass(frozen=True)
class Exhibit:
    """Hold one video of the showcase.

    Attributes:
        label: for readers.
        main: the main view's means and rows.
        side_kbps: what the side view took beside it.
    """

    label: str
    main: Measured
    side_kbps: float

    @property
    def total_kbps(self) -> float:
        """Return both cameras' rate."""
        return self.main.kbps + self.side_kbps

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        rates = {"side_kbps": round(self.side_kbps, 4), "total_kbps": round(self.total_kbps, 4)}
        return {"label": self.label} | rates | self.main.as_dict()


def choose(tracks: Sequence[Measured], metric: str, higher_is_better: bool, budget_kbps: float) -> Track:
    """Return our track that is best in a metric (mean of both cameras) within a total budget."""
    operation = best_operation(front(our_operations(tracks, metric, BOTH), higher_is_better), budget_kbps)
    for m in tracks:
        side = f"{m.track.side_codec}:{m.track.side_setting}"
        if (
            m.track.is_ours
            and f"{m.track.codec}:{m.track.setting}" == operation.main
            and side == operation.side
        ):
            return m.track
    raise LookupError(f"no track of ours is {operation}")


def match_total(total_kbps: Callable[[int], float], target_kbps: float, coarsest: int) -> int:
    """Return the setting whose total is nearest in ratio to a target, by bisection.

    Args:
        total_kbps: rate at a setting; falls as the setting rises.
        target_kbps: what to meet.
        coarsest: the largest setting; the smallest tried is 1.
    """
    low, high = 1, coarsest  # the answer is the first setting at or below the target, or its neighbour above
    while low < high:
        middle = (low + high) // 2
        if total_kbps(middle) <= target_kbps:
            high = middle
        else:
            low = middle + 1
    near = [s for s in (low - 1, low) if s >= 1]
    return min(near, key=lambda s: abs(math.log(total_kbps(s) / target_kbps)))


def showcase(
    clip: Clip,
    walk: Walk,
    coded: Coded,
    chosen: Track,
    rival: LowDelayCodec,
    code_view: CodeView,
    metrics: Sequence[str],
    temporal: bool,
    movie_path: Path | None,
    watched: int | None = None,
) -> list[Exhibit]:
    """Show ours, ours mended with the frame before (`temporal`), and the rival at the same total bytes.

    The rival's stream is added to the walk. The first `watched` frames (None: all) are shown and measured (see
    `Walk.run`, dense).
    """
    side_kbps = coded[chosen.side.stream].kbps
    target = coded[chosen.stream].kbps + side_kbps

    def total(setting: int) -> float:
        return sum(code_view(view, rival, setting).kbps for view in ("main", "side"))

    setting = match_total(total, target, rival.coarsest)
    theirs = Track("main", rival.name, setting)
    walk.add_stream(theirs, code_view("main", rival, setting))
    labels = {chosen: "MDIC (ours)"}
    sides = {chosen: side_kbps, theirs: code_view("side", rival, setting).kbps}
    if temporal:
        twin = replace(chosen, temporal=True)
        labels[twin], sides[twin] = "MDIC, mended over time", side_kbps
    labels[theirs] = rival.label
    streams = dict(coded) | {theirs.stream: code_view("main", rival, setting)}
    captions = {t: _caption(labels[t], t, streams[t.stream].kbps, sides[t]) for t in labels}
    movie = Movie(movie_path, clip.height, clip.width, len(labels) + 1) if movie_path is not None else None

    def show(frame: int, pictures: Mapping[Track, RgbImage]) -> None:
        if movie is not None:
            panels = [("source, main view", clip.main[frame])]
            movie.write(panels + [(captions[t], pictures[t]) for t in labels])

    try:
        rows = walk.run(list(labels), dense=True, title="showcase", show=show, frames=watched)
    except BaseException:
        if movie is not None:
            movie.abandon()
        raise
    if movie is not None:
        movie.close()
    return [Exhibit(labels[t], measured(t, rows[t], streams[t.stream], metrics), sides[t]) for t in labels]


def _caption(label: str, track: Track, main_kbps: float, side_kbps: float) -> str:
    return f"{label}, {track.setting}: {main_kbps:.0f} + {side_kbps:.0f} kb/s for main + side view"
