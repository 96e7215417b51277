"""The results on the shelf: read by name, and what can be derived of them derived anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.rd.results import Results

Document = Mapping[str, Any]


class Shelf:
    """Read results by name, once each."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of results."""
        self._folder = folder
        self._read: dict[str, Document | None] = {}

    def get(self, name: str) -> Document | None:
        """Return a result; None where it is missing, damaged or not finished."""
        if name not in self._read:
            try:
                found = json.loads((self._folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = None
            usable = isinstance(found, dict) and found.get("complete", True)
            self._read[name] = _derived(found) if usable else None
        return self._read[name]


def _derived(document: dict[str, Any]) -> Document:
    """Return a result; what `rd` derives from its points is derived again, so that one definition holds for all."""
    if not str(document.get("command", "")).startswith("python -m benchmarks rd "):
        return document
    results = Results.load(document)
    return document | {
        "bd": results.differences(document["protocol"]),
        "monotone": results.monotone(),
        "entropy": results.entropy(),
    }


# --- what they share ----------------------------------------------------------------------------------------
