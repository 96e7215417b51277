"""Gather what a run measures: rows per picture, means, intervals, the table; a later run goes on from its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.downstream.agreement import class_counts, interval, mean_iou
from benchmarks.downstream.segmenter import CLASSES
from common.errors import UsageError

SCHEMA = 1
COUNTED_CLASSES = len(CLASSES) - 1
"""The background is no class of Cityscapes and does not count."""


@dataclass(frozen=True)
class Measure:
    """Describe a number of the report.

    Attributes:
        key: its name in JSON files.
        label: its name for readers.
        higher_is_better: its sense.
        digits: decimals worth printing.
    """

    key: str
    label: str
    higher_is_better: bool
    digits: int


MEASURES = (
    Measure("seg_miou", "segmentation mIoU", True, 3),
    Measure("seg_agreement", "segmentation, same label", True, 3),
    Measure("stereo_1px", "stereo ≤ 1 px", True, 3),
    Measure("stereo_3px", "stereo ≤ 3 px", True, 3),
    Measure("stereo_d1", "stereo D1", False, 3),
    Measure("stereo_density", "stereo density", True, 3),
    Measure("flow_epe", "flow error px", False, 2),
    Measure("flow_1px", "flow ≤ 1 px", True, 3),
    Measure("flow_3px", "flow ≤ 3 px", True, 3),
)


@dataclass(frozen=True)
class Subject:
    """Name what was judged.

    Attributes:
        method: its key.
        label: its name for readers.
        kind: `ours`, `codec`, `control` or `reference`.
        setting: the quality of ours, or that whose bytes a codec was fitted to; None for the others.
    """

    method: str
    label: str
    kind: str
    setting: int | None = None


@dataclass
class Tally:
    """Collect rows; `settings` is what must be equal for rows of an earlier run to be used again.

    Attributes:
        settings: JSON-like facts that the rows depend on.
        seed: of the intervals.
    """

    settings: dict[str, Any]
    seed: int
    rows: dict[Subject, dict[str, dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)

    def add(self, image: str, rows: Iterable[tuple[Subject, Mapping[str, Any]]]) -> None:
        """Add everything that was measured on one picture.

        Rows are rounded here and not on writing, so that a run gone on with gives what one in a single go does.
        """
        for subject, row in rows:
            self.rows.setdefault(subject, {})[image] = _rounded({"image": image, **row})
        self._done.add(image)

    def has(self, image: str) -> bool:
        """Tell whether a picture is finished."""
        return image in self._done

    def note(self, text: str) -> None:
        """Keep a sentence that a reader of the numbers must know; the same one once."""
        if text not in self.notes:
            self.notes.append(text)

    def resume(self, path: Path, wanted: Sequence[str]) -> int:
        """Take over the pictures of `wanted` that an earlier run finished and return how many.

        Raises:
            UsageError: the file holds something else, or a run with other settings.
        """
        try:
            document = json.loads(path.read_text("utf-8"))
            settings, points, done = document["settings"], document["points"], set(document["pictures"])
            other = sorted(k for k in {*settings, *self.settings} if settings.get(k) != self.settings.get(k))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is no result of this benchmark: {error!r} (--fresh overwrites it)"
            ) from error
        if other:
            differ = ", ".join(f"{k} {settings.get(k)!r} there, {self.settings.get(k)!r} now" for k in other)
            raise UsageError(f"{path} holds another run ({differ}); --fresh overwrites it")
        keep = done & set(wanted)
        for point in points:
            subject = Subject(*(point[key] for key in ("method", "label", "kind", "setting")))
            for row in point["images"]:
                if row["image"] in keep:
                    self.rows.setdefault(subject, {})[row["image"]] = row
        self._done |= keep
        return len(keep)

    def points(self, intervals: bool = True) -> list[dict[str, Any]]:
        """Return a dict per subject: names, means, 95 % intervals where asked for, rows."""
        found = []
        for subject, by_image in self.rows.items():
            rows = [by_image[image] for image in sorted(by_image)]
            limits = _intervals(rows, self.seed) if intervals else {}
            found.append(
                {"method": subject.method, "label": subject.label, "kind": subject.kind}
                | {"setting": subject.setting, "mean": means(rows), "interval": limits, "images": rows}
            )
        return found

    def document(self, about: Mapping[str, Any], complete: bool) -> dict[str, Any]:
        """Return the whole run for a JSON file; intervals only once it is complete."""
        facts = {"schema": SCHEMA, "complete": complete, **about, "settings": self.settings}
        return facts | {
            "pictures": sorted(self._done),
            "notes": self.notes,
            "points": _rounded(self.points(complete)),
        }

    def table(self) -> str:
        """Return the means as a Markdown table; measures that nobody has are left out."""
        points = self.points(intervals=False)
        shown = [m for m in MEASURES if any(point["mean"].get(m.key) is not None for point in points)]
        heads = [
            "method",
            "quality",
            "bytes",
            "bpp",
            *(f"{m.label} {'↑' if m.higher_is_better else '↓'}" for m in shown),
        ]
        lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
        for point in points:
            mean, setting = point["mean"], point["setting"]
            cells = [point["label"], "" if setting is None else str(setting)]
            cells += [_number(mean.get("bytes"), 0, "not counted"), _number(mean.get("bpp"), 4, "")]
            cells += [_number(mean.get(m.key), m.digits, "") for m in shown]
            lines.append(_line(cells))
        return "\n".join(lines)


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return bytes, bpp and every measure over the pictures that have it; None where a picture has no count."""
    keys = ["bytes", "bpp", *(m.key for m in MEASURES if any(_has(row, m.key) for row in rows))]
    return {key: value_of([row for row in rows if _has(row, key)], key) for key in keys}


def value_of(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return one measure over pictures: mIoU of all of them together, the mean of their own values otherwise."""
    if not rows:
        return None
    if key == "seg_miou":
        return mean_iou(class_counts(rows), COUNTED_CLASSES)
    values = [row[key] for row in rows]
    return None if any(v is None for v in values) else float(sum(values) / len(values))


def _intervals(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, list[float]]:
    found = {}
    for measure in MEASURES:
        have = [row for row in rows if _has(row, measure.key)]
        if not have:
            continue
        limits = interval(len(have), _drawn(have, measure.key), seed)
        if limits is not None:
            found[measure.key] = list(limits)
    return found


def _drawn(rows: Sequence[Mapping[str, Any]], key: str) -> Callable[[NDArray[np.int64]], float | None]:
    """Return the function from the indices of a draw to the measure over those pictures."""
    if key == "seg_miou":
        counts = class_counts(rows)
        return lambda drawn: mean_iou(counts[drawn], COUNTED_CLASSES)
    values = np.array([row[key] for row in rows], dtype=np.float64)
    return lambda drawn: float(values[drawn].mean())


def _has(row: Mapping[str, Any], key: str) -> bool:
    if key == "bytes" or key == "bpp":
        return key in row
    return "seg_same" in row if key == "seg_miou" else row.get(key) is not None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def _number(value: float | None, digits: int, missing: str) -> str:
    return missing if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
