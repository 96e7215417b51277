"""Put both cameras together: total rates, mean quality, and who is better where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.rd.metrics import METRICS
from benchmarks.sequence.budgets import (
    BUDGETS_KBPS,
    Operation,
    at_budget,
    crossings,
    front,
    hull,
    winner,
)
from benchmarks.sequence.flicker import KEYS, summary
from benchmarks.sequence.lowdelay import CodedVideo, codec_named
from benchmarks.sequence.measure import Row, Track

BEST, EQUAL = "best split", "equal split"
BOTH, MAIN = "both", "main"


@dataclass(frozen=True)
class Measured:
    """Hold a track's means.

    Attributes:
        track: what it is.
        bytes_a_frame: mean over all frames of the clip.
        kbps: the same at 10 frames a second.
        metrics: means over the judged frames.
        judged: how many those are.
        stability: see `flicker.summary`; None where no two consecutive frames were shown.
        rows: per frame.
    """

    track: Track
    bytes_a_frame: float
    kbps: float
    metrics: Mapping[str, float]
    judged: int
    stability: Mapping[str, float] | None
    rows: Sequence[Row]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        t = self.track
        what: dict[str, Any] = {"view": t.view, "codec": t.codec, "setting": t.setting}
        if t.is_ours:
            what |= {"side": f"{t.side_codec}:{t.side_setting}", "temporal": t.temporal}
        return what | {
            "bytes_a_frame": round(self.bytes_a_frame, 3),
            "kbps": round(self.kbps, 4),
            "frames_judged": self.judged,
            "metrics": {key: round(value, 6) for key, value in self.metrics.items()},
            "stability": None
            if self.stability is None
            else {k: round(v, 6) for k, v in self.stability.items()},
            "frames": [
                {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items() if k != "track"}
                for row in self.rows
            ],
        }


def measured(track: Track, rows: Sequence[Row], coded: CodedVideo, metrics: Sequence[str]) -> Measured:
    """Return the means of a track's rows; its rate is that of all frames, judged or not."""
    judged = [row for row in rows if all(key in row for key in metrics)]
    means = {key: float(np.mean([row[key] for row in judged])) for key in metrics}
    return Measured(track, coded.bytes_a_frame, coded.kbps, means, len(judged), summary(rows), rows)


def rival_label(rival: str) -> str:
    """Return a rival's name for readers; `a+b` are two codecs, each view by the better one."""
    return " or ".join(codec_named(name).label for name in rival.split("+"))


def our_operations(all_tracks: Iterable[Measured], metric: str, scope: str) -> list[Operation]:
    """Return ours: each main view with the side view it was decoded with.

    Args:
        all_tracks: measured tracks; the side views must be among them.
        metric: a key of METRICS.
        scope: `both` takes the mean of both cameras' quality, `main` the main view's alone.
    """
    tracks = {m.track: m for m in all_tracks}
    found = []
    for m in tracks.values():
        if m.track.is_ours:
            side = tracks[m.track.side]
            found.append(_operation(m, side, metric, scope))
    return found


def rival_operations(
    all_tracks: Iterable[Measured], codec: str, metric: str, split: str, scope: str
) -> list[Operation]:
    """Return a conventional codec on both cameras: the same setting for both, or every pair of settings.

    `a+b` for the codec takes the settings of two together.
    """
    mine = [m for m in all_tracks if m.track.codec in codec.split("+")]
    mains = [m for m in mine if m.track.view == "main"]
    sides = [m for m in mine if m.track.view == "side"]
    return [
        _operation(main, side, metric, scope)
        for main in mains
        for side in sides
        if split == BEST or main.track.stream[1:] == side.track.stream[1:]
    ]


def _operation(main: Measured, side: Measured, metric: str, scope: str) -> Operation:
    quality = main.metrics[metric]
    if scope == BOTH:
        quality = (quality + side.metrics[metric]) / 2
    return Operation(
        main.kbps + side.kbps,
        quality,
        f"{main.track.codec}:{main.track.setting}",
        f"{side.track.codec}:{side.track.setting}",
    )


def comparisons(
    all_tracks: Sequence[Measured],
    metrics: Sequence[str],
    rivals: Sequence[str],
    budgets: Sequence[float] = BUDGETS_KBPS,
) -> list[dict[str, Any]]:
    """Return ours against each rival, split, metric and scope: readings at the budgets, and the crossings.

    Between its points ours is read off the staircase of its best ones, the rivals' best split off the hull of
    theirs: the doubt is to their advantage. With scope `main` rivals split equally only: every bit of the best
    split would go to the main view.
    """
    found = []
    for scope in (BOTH, MAIN):
        for metric in metrics:
            better = METRICS[metric].higher_is_better
            ours = front(our_operations(all_tracks, metric, scope), better)
            for rival in rivals:
                for split in (BEST, EQUAL) if scope == BOTH else (EQUAL,):
                    if split == EQUAL and "+" in rival:
                        continue  # two codecs have no common scale of settings
                    frontier = hull if split == BEST else front
                    other = frontier(rival_operations(all_tracks, rival, metric, split, scope), better)
                    if not ours or not other:
                        continue
                    readings = []
                    for budget in budgets:
                        a, b = at_budget(ours, budget), at_budget(other, budget)
                        readings.append(
                            {"kbps": budget, "ours": a.as_dict(), "other": b.as_dict()}
                            | {"better": winner(a, b, better)}
                        )
                    found.append(
                        {
                            "scope": scope,
                            "metric": metric,
                            "rival": rival,
                            "label": rival_label(rival),
                            "split": split,
                            "budgets": readings,
                            "crossings": crossings(ours, other, better).as_dict(),
                            "front_ours": [o.as_dict() for o in ours],
                            "front_other": [o.as_dict() for o in other],
                        }
                    )
    return found


def source_errors(rows: Sequence[Row]) -> Sequence[float]:
    """Return the source's own warp error of each pair among rows, in their order."""
    return [row[KEYS[1]] for row in rows if row.get(KEYS[1]) is not None]
