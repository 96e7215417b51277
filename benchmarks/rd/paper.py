"""The paper's published curve: points read off its plot, of other test images of the same data set family."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("paper.json")
KEY = "paper"


@cache
def published() -> dict[str, Any]:
    """Return the file as it is: label, source, protocol, `bpp` and a list of the same length per metric."""
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document


def label() -> str:
    """Return how the curve must be named wherever it is shown."""
    return str(published()["label"])


def paper_points(protocol: str) -> dict[str, list[tuple[float, float]]]:
    """Return metric -> published (bpp, value) points that may stand beside a protocol's own; {} for others."""
    document = published()
    if protocol != document["protocol"]:
        return {}
    rates = document["bpp"]
    return {
        key: list(zip(rates, values, strict=True))
        for key, values in document.items()
        if isinstance(values, list) and key != "bpp"
    }
