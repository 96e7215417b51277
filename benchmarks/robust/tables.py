"""Tables of the sweeps, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.rd.metrics import METRICS
from benchmarks.robust.bars import METRIC, Bar
from benchmarks.robust.store import Store
from benchmarks.robust.sweeps import LOSSLESS, NONE, Sweep


def table(store: Store, sweep: Sweep, metrics: Sequence[str]) -> str:
    """Return a sweep's means, one table a quality, the references of the same pictures first."""
    places = store.places(sweep.name)
    if not places:
        return f"### {sweep.title}\n\nNo picture of the data allows this sweep."
    parts = [f"### {sweep.title}"]
    for quality in store.qualities(sweep.name):
        heads = ["", "side bytes", "side bpp", "main + side bytes", *(_head(key) for key in metrics)]
        heads += ["LPIPS against lossless", "against none"] if METRIC in metrics else []
        lines = [f"Quality {quality}, {len(places)} pictures", "", _line(heads)]
        lines.append(_line(["---"] + ["---:"] * (len(heads) - 1)))
        if sweep.references:
            for condition in (LOSSLESS, NONE):
                lines.append(_row(store, "base", condition, quality, places, metrics))
        for condition in store.conditions(sweep.name):
            lines.append(_row(store, sweep.name, condition, quality, places, metrics))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def bars_text(bars: Iterable[Bar]) -> str:
    """Return the bars, a line each."""
    return "\n".join(bar.line() for bar in bars)


def _row(
    store: Store, sweep: str, condition: str, quality: int, places: Iterable[str], metrics: Sequence[str]
) -> str:
    rows = store.select(sweep, condition, quality, places)

    def mean(key: str) -> float | None:
        return store.mean(key, sweep, condition, quality, places)

    cells = [rows[0]["label"] if rows else condition]
    cells += [_number(mean("side_bytes"), 0), _number(mean("side_bpp"), 3), _number(mean("total_bytes"), 0)]
    cells += [_number(mean(key), METRICS[key].digits) for key in metrics]
    if METRIC in metrics:
        own = {row["place"] for row in rows}
        for reference in (LOSSLESS, NONE):
            against, value = store.mean(METRIC, "base", reference, quality, own), mean(METRIC)
            known = against and value is not None and (sweep, condition) != ("base", reference)
            cells.append(f"{100 * (value / against - 1):+.1f} %" if known and value and against else "")
    return _line(cells)


def _head(key: str) -> str:
    return f"{METRICS[key].label} {'↑' if METRICS[key].higher_is_better else '↓'}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
