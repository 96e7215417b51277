"""A run as Markdown: every point, the budgets, the crossings, the showcase. Made from the JSON document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rd.metrics import METRICS

Document = Mapping[str, Any]


def tables(document: Document) -> str:
    """Return all tables of a run's JSON document, ready for a README."""
    parts = [
        points_table(document),
        *budget_tables(document),
        showcase_table(document),
        "\n".join(f"- {line}" for line in document["notes"]),
    ]
    return "\n\n".join(part for part in parts if part)


def points_table(document: Document) -> str:
    """Return every way both cameras were coded: ours, then the conventional codecs at one setting for both."""
    metrics = document["metrics"]
    tracks = {(t["view"], t["codec"], t["setting"]): t for t in document["tracks"] if "side" not in t}
    heads = ["main view", "side view", "main B", "side B", "sum B", "main kb/s", "side kb/s", "sum kb/s"]
    heads += [_head(key) for key in metrics]
    heads += [f"both {_head(metrics[0])}", "warp error / source"]
    lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    pairs = []
    for t in document["tracks"]:
        if "side" in t:
            codec, _, setting = t["side"].partition(":")
            pairs.append((f"MDIC q{t['setting']}", t, tracks["side", codec, int(setting)]))
    for (view, codec, setting), t in tracks.items():
        if view == "main":
            pairs.append((_name(codec, setting), t, tracks["side", codec, setting]))
    for name, main, side in pairs:
        amounts = [main["bytes_a_frame"], side["bytes_a_frame"]]
        rates = [main["kbps"], side["kbps"]]
        cells = [name, _name(side["codec"], side["setting"])]
        cells += [f"{value:.0f}" for value in (*amounts, sum(amounts))]
        cells += [f"{value:.1f}" for value in (*rates, sum(rates))]
        cells += [_value(key, main["metrics"][key]) for key in metrics]
        cells.append(_value(metrics[0], (main["metrics"][metrics[0]] + side["metrics"][metrics[0]]) / 2))
        stable = main["stability"]
        cells.append("" if stable is None else f"{stable['ratio']:.2f}")
        lines.append(_line(cells))
    return "\n".join(lines)


def budget_tables(document: Document) -> list[str]:
    """Return, for the first metric, who is better at each total budget; and the crossings for all metrics."""
    metrics = document["metrics"]
    first = [c for c in document["comparisons"] if c["metric"] == metrics[0]]
    if not first:
        return []
    budgets = [reading["kbps"] for reading in first[0]["budgets"]]
    lines = [
        _line(["ours against", "judged on", *(f"{b:g} kb/s: ours / theirs" for b in budgets), "crossing"])
    ]
    lines.append(_line(["---"] * (len(budgets) + 3)))
    for c in first:
        cells = [f"{c['label']}, {c['split']}", _scope(c)]
        for reading in c["budgets"]:
            shown = [_reading(metrics[0], reading[who]) for who in ("ours", "other")]
            strong = {"ours": 0, "other": 1}.get(reading["better"])
            if strong is not None and not shown[strong].startswith("–"):
                shown[strong] = f"**{shown[strong]}**"
            cells.append(" / ".join(shown))
        cells.append(crossing_text(c["crossings"]))
        lines.append(_line(cells))
    title = f"{METRICS[metrics[0]].label} at equal total bytes"
    others = [_line(["metric", "ours against", "judged on", "crossing"]), _line(["---"] * 4)]
    for c in document["comparisons"]:
        if c["metric"] != metrics[0]:
            name = f"{c['label']}, {c['split']}"
            others.append(_line([METRICS[c["metric"]].label, name, _scope(c), crossing_text(c["crossings"])]))
    found = [f"{title} (*: its dearest measured point, at less; –: not reached, with its least rate)"]
    found.append("\n".join(lines))
    if len(others) > 2:
        found.append("\n".join(others))
    return found


def crossing_text(crossing: Mapping[str, Any]) -> str:
    """Say where two fronts cross, or who is better all along."""
    if crossing["low_kbps"] is None:
        return str(crossing["why"])
    span = f"{crossing['low_kbps']:.0f}..{crossing['high_kbps']:.0f} kb/s"
    names = {"ours": "ours", "other": "theirs", "tie": "neither"}
    if not crossing["kbps"]:
        return f"none; {names[crossing['better_at_low']]} better over {span}"
    places = ", ".join(f"{x:.0f}" for x in crossing["kbps"])
    return f"at {places} kb/s; below, {names[crossing['better_at_low']]} better (common: {span})"


def showcase_table(document: Document) -> str:
    """Return the closely watched point: quality and stability of ours, with and without time, and the rival."""
    shown = document.get("showcase")
    if not shown:
        return ""
    metrics = document["metrics"]
    heads = ["at equal total bytes", "setting", "main kb/s", "side kb/s", *(_head(key) for key in metrics)]
    heads += ["warp error", "source", "excess", "change error"]
    lines = [_line(heads), _line(["---"] * 2 + ["---:"] * (len(heads) - 2))]
    for e in shown["exhibits"]:
        cells = [e["label"], str(e["setting"]), f"{e['kbps']:.1f}", f"{e['side_kbps']:.1f}"]
        cells += [_value(key, e["metrics"][key]) for key in metrics]
        stable = e["stability"] or {}
        for key in ("warp_error", "warp_error_source", "excess", "change_error"):
            cells.append(f"{stable[key]:.2f}" if key in stable else "")
        lines.append(_line(cells))
    return "\n".join(lines)


def _reading(metric: str, reading: Mapping[str, Any]) -> str:
    if reading["value"] is None:
        return f"– ({reading['used_kbps']:.0f})"
    return _value(metric, reading["value"]) + ("*" if reading["status"] == "held" else "")


def _scope(comparison: Mapping[str, Any]) -> str:
    return "both cameras" if comparison["scope"] == "both" else "main view"


def _name(codec: str, setting: int) -> str:
    return {"av1": "AV1 crf", "av1-half": "AV1/2 crf", "hevc": "HEVC qp"}.get(codec, codec) + f" {setting}"


def _head(key: str) -> str:
    return f"{METRICS[key].label} {'↑' if METRICS[key].higher_is_better else '↓'}"


def _value(key: str, value: float) -> str:
    return f"{value:.{METRICS[key].digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
