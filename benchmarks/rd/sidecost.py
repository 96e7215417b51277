"""What the side view costs on its own link: our rate is only half of what a rig sends."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rd.protocol import PROTOCOLS, Sample, SideView

LADDER = ("webp", "jpeg:90", "jpeg:75", "jpeg:50", "jpeg:20")


class SideCosts:
    """Add up what the side views of a run take with each side codec; their pictures are not judged here."""

    def __init__(self, protocol: str, used: SideView) -> None:
        """Begin with nothing; `used` is the codec of the run, whose bytes the samples carry already."""
        self._cut, self._used = PROTOCOLS[protocol], str(used)
        self._bytes: dict[str, list[int]] = {name: [] for name in LADDER}
        self._bpp: dict[str, list[float]] = {name: [] for name in LADDER}

    def add(self, sample: Sample) -> None:
        """Code the side view of one pair with every codec of the ladder."""
        side = self._cut(sample.whole_side)
        pixels = side.shape[0] * side.shape[1]
        for name in LADDER:
            size = sample.side_bytes if name == self._used else SideView.parse(name).code(side)[1]
            self._bytes[name].append(size)
            self._bpp[name].append(size * 8 / pixels)

    def means(self) -> list[dict[str, Any]]:
        """Return `{"codec", "bytes", "bpp"}` of each, means over the pairs so far; [] before the first."""
        return [
            {
                "codec": name,
                "bytes": statistics.fmean(self._bytes[name]),
                "bpp": statistics.fmean(self._bpp[name]),
            }
            for name in LADDER
            if self._bytes[name]
        ]


def side_table(costs: Sequence[Mapping[str, Any]], ours_bpp: Mapping[int, float]) -> str:
    """Return main, side and their sum in bits per pixel as a Markdown table, a column per quality of ours.

    Args:
        costs: what `SideCosts.means` returned.
        ours_bpp: quality index -> rate of the main view.
    """
    heads = [
        "side view",
        "bytes",
        "bpp",
        *(f"sum with quality {q} ({bpp:.4f})" for q, bpp in ours_bpp.items()),
    ]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for cost in costs:
        name = "WebP lossless" if cost["codec"] == "webp" else cost["codec"].replace("jpeg:", "JPEG ")
        sums = [f"{cost['bpp'] + bpp:.3f}" for bpp in ours_bpp.values()]
        lines.append("| " + " | ".join([name, f"{cost['bytes']:.0f}", f"{cost['bpp']:.3f}", *sums]) + " |")
    return "\n".join(lines)
