"""A run as Markdown, made from its JSON file alone: printed after a run, and put into the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.rd import paper
from benchmarks.rd.checks import entropy_table, monotone_lines
from benchmarks.rd.metrics import METRICS
from benchmarks.rd.ours import thin
from benchmarks.rd.results import Results
from benchmarks.rd.sidecost import side_table


def headline(document: Mapping[str, Any]) -> str:
    """Return what was measured on what, in a sentence."""
    return (
        f"Protocol {document['protocol']}, {document['pairs']} of {document['pairs_available']} pairs of "
        f"{document['data']}, side view {document['side']} ({document['side_bpp_mean']:.3f} bpp on its own link, in "
        "the column `side bpp` and not in `bpp`)"
    )


def sections(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the Markdown parts of a run's document: summary, points, differences, side, entropy, checks, notes.

    A part that the run has nothing for is "".
    """
    results = Results.load(document)
    parts = {
        "summary": summary(document, results),
        "points": results.table(),
        "differences": results.difference_table(document["protocol"]),
    }
    means = {point.setting or 0: point.mean().get("bpp") for point in results.ours()}
    rates = {quality: means[quality] or 0.0 for quality in thin(tuple(means))} if means else {}
    costs = document.get("side_codecs") or []
    parts["side"] = side_table(costs, rates) if costs else ""
    parts["entropy"] = entropy_table(results.entropy()) if results.entropy() else ""
    parts["checks"] = "\n".join(f"- {line}" for line in monotone_lines(results.monotone()))
    parts["notes"] = "\n".join(f"- {note}" for note in document["notes"])
    return parts


SUMMARY_METRICS = ("lpips_vgg", "dists", "psnr", "ms_ssim_db")
NEAR_BPP = 0.0554  # the paper's point that is shown beside ours


def summary(document: Mapping[str, Any], results: Results) -> str:
    """Return the few rows that a front page shows: three qualities, the lowest rate of each rival, the controls.

    The paper's point is the one nearest to 0.055 bpp, in italics as it belongs to other pictures.
    """
    keys = [key for key in SUMMARY_METRICS if key in results.metrics]
    heads = ["", "bytes", "bpp"]
    heads += [f"{METRICS[key].label} {'↑' if METRICS[key].higher_is_better else '↓'}" for key in keys]
    rows: list[list[str]] = []
    shown = thin(tuple(point.setting or 0 for point in results.ours())) if results.ours() else ()
    alone = [point for point in results.points.values() if point.method == "mdic-noside"]
    lowest = [min((p for p in results.points.values() if p.method == method), key=lambda p: p.mean().get("bpp") or 0)
              for method in results.methods("codec")]  # fmt: skip
    for point in (
        [p for p in results.ours() if p.setting in shown]
        + alone[-1:]
        + lowest
        + [p for p in results.points.values() if p.kind == "control"]
    ):
        mean = point.mean()
        size, rate = mean.get("bytes"), mean.get("bpp")
        name = (
            point.label if point.setting is None else f"{point.label}, {_setting(point.kind)} {point.setting}"
        )
        cells = [name, "–" if size is None else f"{size:.0f}", "–" if rate is None else f"{rate:.4f}"]
        values = [(key, mean.get(key)) for key in keys]
        cells += ["" if value is None else f"{value:.{METRICS[key].digits}f}" for key, value in values]
        rows.append(cells)
    published = paper.paper_points(document["protocol"])
    if published:
        near = {
            key: min(published[key], key=lambda p: abs(p[0] - NEAR_BPP)) for key in keys if key in published
        }
        pixels = 128 * 256
        rate = next(iter(near.values()))[0]
        cells = [f"*{paper.label()}*", f"{rate * pixels / 8:.0f}", f"{rate:.4f}"]
        cells += [f"{near[key][1]:.{METRICS[key].digits}f}" if key in near else "" for key in keys]
        rows.append(cells)
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _setting(kind: str) -> str:
    return "quality" if kind == "ours" else "setting"


_TITLES = {
    "points": "",
    "differences": "Ours against the others over the common range; a reason where there is none:",
    "side": "Both views: bits per pixel of the side view with each codec, and the sum with our main view:",
    "entropy": "Bytes against the information content of what they code:",
    "checks": "From each quality index to the next:",
    "notes": "Notes:",
}


def whole(document: Mapping[str, Any]) -> str:
    """Return the whole report."""
    parts = [headline(document)]
    for name, text in sections(document).items():
        if name == "summary" or not text:
            continue  # the summary's rows are all among the points
        parts += [_TITLES[name], text] if _TITLES[name] else [text]
    return "\n\n".join(parts)
