"""Gather what a run measures: per-image values, means, Bjøntegaard differences, Markdown tables."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rd.bd import Curve, bd_quality, bd_rate
from benchmarks.rd.metrics import METRICS

SCHEMA = 1


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

    def differences(self) -> list[dict[str, Any]]:
        """Return BD-quality and BD-rate of ours against each conventional codec, for each metric."""
        rows = []
        for other, label in self.methods("codec").items():
            for key in self.metrics:
                better = METRICS[key].higher_is_better
                ours, theirs = self.curve("mdic", key), self.curve(other, key)
                if not ours:
                    continue
                gain, rate = bd_quality(ours, theirs, better), bd_rate(ours, theirs, better)
                rows.append(
                    {"against": other, "label": label, "metric": key}
                    | {"bd_quality": gain.as_dict(), "bd_rate_percent": rate.as_dict()}
                )
        return rows

    def document(self, about: dict[str, Any], complete: bool) -> dict[str, Any]:
        """Return the whole run for a JSON file."""
        points = [
            {"method": p.method, "label": p.label, "kind": p.kind, "setting": p.setting}
            | {"mean": _rounded(p.mean()), "images": [_rounded(row) for row in p.rows]}
            for p in self.points.values()
        ]
        differences = [_rounded(row) for row in self.differences()] if complete else []
        return {
            "schema": SCHEMA,
            "complete": complete,
            **about,
            "metrics": list(self.metrics),
            "notes": self.notes,
            "points": points,
            "bd": differences,
        }

    def table(self) -> str:
        """Return the means as a Markdown table."""
        heads = ["method", "setting", "bytes", "bpp", *(_head(key) for key in self.metrics)]
        lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
        for point in self.points.values():
            mean = point.mean()
            cells = [point.label, "" if point.setting is None else str(point.setting)]
            cells += [_number(mean.get("bytes"), 1, "geometry only"), _number(mean.get("bpp"), 4)]
            cells += [_number(mean.get(key), METRICS[key].digits) for key in self.metrics]
            lines.append(_line(cells))
        return "\n".join(lines)

    def difference_table(self) -> str:
        """Return the Bjøntegaard differences as a Markdown table, with the reasons for the missing ones."""
        rows = self.differences()
        if not rows:
            return ""
        lines = [_line(["ours against", "metric", "BD-quality (+ is better)", "BD-rate (- is better)"])]
        lines.append(_line(["---", "---", "---:", "---:"]))
        for row in rows:
            gain, rate = row["bd_quality"], row["bd_rate_percent"]
            gained = gain["why"] if gain["value"] is None else f"{gain['value']:+.3f}"
            saved = rate["why"] if rate["value"] is None else f"{rate['value']:+.1f} %"
            lines.append(_line([row["label"], METRICS[row["metric"]].label, gained, saved]))
        return "\n".join(lines)


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
    return value


def _head(key: str) -> str:
    return f"{METRICS[key].label} {'↑' if METRICS[key].higher_is_better else '↓'}"


def _number(value: float | None, digits: int, missing: str = "") -> str:
    return missing if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
