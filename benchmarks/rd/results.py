"""Gather what a run measures: per-image values, means, Bjøntegaard differences, Markdown tables."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rd import paper
from benchmarks.rd.bd import Curve, Difference, bd_quality, bd_rate
from benchmarks.rd.checks import entropy_overhead, monotone
from benchmarks.rd.metrics import METRICS

SCHEMA = 2
OURS = "mdic"


@dataclass
class Point:
    """Hold one method at one setting over all pictures.

    Attributes:
        method: its key.
        label: its name for readers.
        kind: `ours`, `control`, or `codec`.
        setting: quality, QP, ...; None for a control.
        rows: a dict per picture: image, bytes, bpp, the metrics, and what else the method had to say.
    """

    method: str
    label: str
    kind: str
    setting: int | None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def mean(self) -> dict[str, float | None]:
        """Return the mean over the pictures of every number that all of them have."""
        keys = [key for key, value in self.rows[0].items() if key == "bytes" or _is_number(value)]
        return {key: _mean(row.get(key) for row in self.rows) for key in keys}


class Results:
    """Collect rows and turn them into JSON, tables and curves."""

    def __init__(self, metrics: Sequence[str]) -> None:
        """Begin with nothing; `metrics` are keys of METRICS."""
        self.metrics = tuple(metrics)
        self.points: dict[tuple[str, int | None], Point] = {}
        self.notes: list[str] = []

    def add(self, method: str, label: str, kind: str, setting: int | None, row: dict[str, Any]) -> None:
        """Add what one method gave for one picture."""
        point = self.points.setdefault((method, setting), Point(method, label, kind, setting))
        point.rows.append(row)

    def note(self, text: str) -> None:
        """Keep a sentence that a reader of the numbers must know; the same one once."""
        if text not in self.notes:
            self.notes.append(text)

    def methods(self, *kinds: str) -> dict[str, str]:
        """Return key -> label of the methods of those kinds, in order of appearance."""
        return {point.method: point.label for point in self.points.values() if point.kind in kinds}

    def curve(self, method: str, metric: str) -> Curve:
        """Return the points (bpp, metric) of a method, sorted by rate."""
        means = [point.mean() for point in self.points.values() if point.method == method]
        pairs = [(mean.get("bpp"), mean.get(metric)) for mean in means]
        return sorted((rate, value) for rate, value in pairs if rate is not None and value is not None)

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Results:
        """Return what a run's JSON file holds.

        Raises:
            KeyError: it is no such file.
        """
        results = cls(document["metrics"])
        for note in document["notes"]:
            results.note(note)
        for p in document["points"]:
            for row in p["images"]:
                results.add(p["method"], p["label"], p["kind"], p["setting"], row)
        return results

    def ours(self) -> list[Point]:
        """Return our points with the side view, by quality index."""
        found = [point for point in self.points.values() if point.method == OURS]
        return sorted(found, key=lambda point: point.setting or 0)

    def monotone(self) -> dict[str, Any]:
        """Return whether rate and quality rise with every quality index (see `checks.monotone`)."""
        points = [{"setting": point.setting, "mean": point.mean()} for point in self.ours()]
        return monotone(points, self.metrics)

    def entropy(self) -> list[dict[str, Any]]:
        """Return bytes against information content, a dict per quality (see `checks.entropy_overhead`)."""
        found = [entropy_overhead(point.rows, point.setting or 0) for point in self.ours()]
        return [check for check in found if check is not None]

    def differences(self, protocol: str = "") -> list[dict[str, Any]]:
        """Return BD-quality and BD-rate of ours against each conventional codec and the paper's curve.

        `counts` names the one to be quoted: `bd_rate_percent`, or `bd_quality` where the curves share no quality, or
        nothing where they share no rate either.
        """
        rows = []
        others = [
            (k, name, {m: self.curve(k, m) for m in self.metrics})
            for k, name in self.methods("codec").items()
        ]
        published: Mapping[str, Curve] = paper.paper_points(protocol)
        if published:
            others.append((paper.KEY, paper.label(), dict(published)))
        for other, label, curves in others:
            for key in self.metrics:
                better = METRICS[key].higher_is_better
                ours, theirs = self.curve(OURS, key), curves.get(key, [])
                if not ours or not theirs:
                    continue
                gain, rate = bd_quality(ours, theirs, better), bd_rate(ours, theirs, better)
                row: dict[str, Any] = {"against": other, "label": label, "metric": key}
                row |= {"bd_quality": gain.as_dict(), "bd_rate_percent": rate.as_dict()}
                rows.append(row | {"counts": _counts(gain, rate)})
        return rows

    def document(self, about: dict[str, Any], complete: bool) -> dict[str, Any]:
        """Return the whole run for a JSON file."""
        points = [
            {"method": p.method, "label": p.label, "kind": p.kind, "setting": p.setting}
            | {"mean": _rounded(p.mean()), "images": [_rounded(row) for row in p.rows]}
            for p in self.points.values()
        ]
        differences = self.differences(about.get("protocol", "")) if complete else []
        return {
            "schema": SCHEMA,
            "complete": complete,
            **about,
            "metrics": list(self.metrics),
            "notes": self.notes,
            "points": points,
            "bd": [_rounded(row) for row in differences],
            "monotone": _rounded(self.monotone()),
            "entropy": [_rounded(check) for check in self.entropy()],
        }

    def table(self) -> str:
        """Return the means as a Markdown table."""
        heads = [
            "method",
            "setting",
            "bytes",
            "bpp",
            "side bpp",
            "sum bpp",
            *(_head(key) for key in self.metrics),
        ]
        lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
        for point in self.points.values():
            mean = point.mean()
            cells = [point.label, "" if point.setting is None else str(point.setting)]
            cells += [_number(mean.get("bytes"), 1, "geometry only"), _number(mean.get("bpp"), 4)]
            cells += [_number(mean.get("side_bpp") or None, 3), _number(mean.get("sum_bpp"), 3)]
            cells += [_number(mean.get(key), METRICS[key].digits) for key in self.metrics]
            lines.append(_line(cells))
        return "\n".join(lines)

    def difference_table(self, protocol: str = "") -> str:
        """Return the Bjøntegaard differences as a Markdown table, with the reasons for the missing ones."""
        rows = self.differences(protocol)
        if not rows:
            return ""
        lines = [
            _line(
                ["ours against", "metric", "BD-rate (- is better)", "BD-quality at equal rate (+ is better)"]
            )
        ]
        lines.append(_line(["---", "---", "---:", "---:"]))
        for row in rows:
            gain, rate = row["bd_quality"], row["bd_rate_percent"]
            cells = [row["label"], METRICS[row["metric"]].label]
            digits = METRICS[row["metric"]].digits
            covers = "" if rate["value"] is None else f"{rate['low']:.{digits}f} to {rate['high']:.{digits}f}"
            cells.append(rate["why"] if rate["value"] is None else f"{rate['value']:+.1f} %, over {covers}")
            cells.append(gain["why"] if gain["value"] is None else f"{gain['value']:+.{digits}f}")
            lines.append(_line(cells))
        return "\n".join(lines)


def _counts(gain: Difference, rate: Difference) -> str | None:
    if rate.value is not None:
        return "bd_rate_percent"
    return None if gain.value is None else "bd_quality"


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file in one go, so that a run cut short leaves the last whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mean(values: Iterable[Any]) -> float | None:
    numbers = list(values)
    return statistics.fmean(numbers) if all(_is_number(value) for value in numbers) else None


def _rounded(value: Any) -> Any:
    """Return the value with floats cut to six significant decimals, so that files stay readable."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return value


def _head(key: str) -> str:
    return f"{METRICS[key].label} {'↑' if METRICS[key].higher_is_better else '↓'}"


def _number(value: float | None, digits: int, missing: str = "") -> str:
    return missing if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
