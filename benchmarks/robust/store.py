"""Keep what was measured, place by place, so that a run cut short goes on where it stopped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.rd.results import write_json

SCHEMA = 1
Row = dict[str, Any]


class Store:
    """Hold rows by sweep and place, in memory and in a JSON file.

    A row has `condition`, `label`, `quality`, `bytes`, `bpp`, `side_bytes`, `side_bpp`, `total_bytes`, the metrics, and
    what its sweep adds.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any]) -> None:
        """Take up what `path` holds if it was measured under the same `fingerprint`, else begin anew.

        Results of another fingerprint are kept beside, as `NAME.old`.
        """
        self.path, self.fingerprint = path, fingerprint
        self.rows: dict[str, dict[str, list[Row]]] = {}
        self.resumed = False
        known = _read(path)
        if known is None:
            return
        if known.get("schema") == SCHEMA and known.get("fingerprint") == json.loads(json.dumps(fingerprint)):
            self.rows, self.resumed = known["sweeps"], True
            return
        old = path.with_name(path.name + ".old")
        os.replace(path, old)
        print(f"{path} holds results of other settings: kept as {old}, starting anew", file=sys.stderr)

    def has(self, sweep: str, place: str) -> bool:
        """Tell whether a place was measured, be it with the result that the sweep does not apply to it."""
        return place in self.rows.get(sweep, {})

    def add(self, sweep: str, place: str, rows: list[Row]) -> None:
        """Keep the rows of one place."""
        self.rows.setdefault(sweep, {})[place] = [{k: _rounded(v) for k, v in row.items()} for row in rows]

    def places(self, sweep: str) -> set[str]:
        """Return the places for which a sweep has rows."""
        return {place for place, rows in self.rows.get(sweep, {}).items() if rows}

    def select(
        self,
        sweep: str,
        condition: str | None = None,
        quality: int | None = None,
        places: Iterable[str] | None = None,
    ) -> list[Row]:
        """Return the rows of a sweep, each with its `place`, narrowed down as asked."""
        wanted = None if places is None else set(places)
        return [
            row | {"place": place}
            for place, rows in self.rows.get(sweep, {}).items()
            if wanted is None or place in wanted
            for row in rows
            if condition in (None, row["condition"]) and quality in (None, row["quality"])
        ]

    def mean(
        self, key: str, sweep: str, condition: str, quality: int, places: Iterable[str] | None = None
    ) -> float | None:
        """Return the mean of one number, None where there is none."""
        values = [row.get(key) for row in self.select(sweep, condition, quality, places)]
        numbers = [float(value) for value in values if isinstance(value, (int, float))]
        return sum(numbers) / len(numbers) if numbers and len(numbers) == len(values) else None

    def conditions(self, sweep: str) -> dict[str, str]:
        """Return key -> label of a sweep's conditions, in order of appearance."""
        return {row["condition"]: row["label"] for row in self.select(sweep)}

    def qualities(self, sweep: str) -> list[int]:
        """Return the quality indices that a sweep has rows of."""
        return sorted({row["quality"] for row in self.select(sweep)})

    def save(self, about: dict[str, Any]) -> None:
        """Write everything, `about` first."""
        write_json(
            self.path, {"schema": SCHEMA, **about, "fingerprint": self.fingerprint, "sweeps": self.rows}
        )


def _read(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None where there is none to go on from."""
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and isinstance(known.get("sweeps"), dict) else {}


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
