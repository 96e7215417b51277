"""What a run came to: numbers from the sender's rows and the shaper's ledgers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.link.capacity import NS_PER_S, Capacity
from common.stream.stats import percentile

BIN_S = 0.1
DELIVERED = "decoded"
_SEQ, _QUALITY, _DIVISOR, _SIZE, _SENT, _ACKED, _FATE = range(7)


@dataclass(frozen=True)
class Terms:
    """What a run was to do."""

    seconds: float
    fps: float
    deadline_ms: int


def outcome(
    log: dict[str, Any], ledgers: dict[str, Any] | None, capacity: Capacity, terms: Terms
) -> dict[str, Any]:
    """Return the numbers of one run.

    `in_time` counts frames acknowledged as decoded within the deadline after capture. `delivered_quality` is the mean
    over all captured frames of quality + 1 (1 to 8), a frame not in time counting 0: quality and loss in one number.
    """
    rows = log["rows"]
    count = max(1, len(rows))
    delivered = [row for row in rows if row[_FATE] == DELIVERED]
    in_time = [row for row in delivered if row[_ACKED] <= terms.deadline_ms]
    latencies = sorted(row[_ACKED] for row in delivered)
    fates = Counter(row[_FATE] for row in rows if row[_FATE] != DELIVERED)
    return {
        "captured": len(rows),
        "sent": sum(row[_SENT] is not None for row in rows),
        "delivered": len(delivered),
        "in_time": len(in_time),
        "in_time_share": round(len(in_time) / count, 4),
        "late": len(delivered) - len(in_time),
        "not_delivered": dict(sorted(fates.items())),
        "mean_quality": _mean([row[_QUALITY] for row in in_time]),
        "delivered_quality": round(sum(row[_QUALITY] + 1 for row in in_time) / count, 3),
        "quality_counts": {str(q): n for q, n in sorted(Counter(row[_QUALITY] for row in in_time).items())},
        "latency_ms": None
        if not latencies
        else {f"p{round(100 * share)}": round(percentile(latencies, share), 1) for share in (0.5, 0.95, 0.99)}
        | {"max": latencies[-1]},
        "in_time_bytes_s": round(sum(row[_SIZE] for row in in_time) / terms.seconds, 1),
        "link": None if ledgers is None else _link(ledgers, capacity, terms.seconds),
        "connections": log["connections"],
        "notices": log["notices"],
    }


def _link(ledgers: dict[str, Any], capacity: Capacity, seconds: float) -> dict[str, Any]:
    """Return what the way up carried of what it could, and what the shaper dropped."""
    bins = round(seconds / BIN_S)
    offered = capacity.bytes_between(0, round(seconds * NS_PER_S))
    left = sum(ledgers["up"]["bins"]["left"][:bins])
    return {
        "capacity_bytes": round(offered),
        "carried_bytes": left,
        "utilisation": round(left / offered, 4) if offered else None,
        "most_backlog_bytes": max(ledgers["up"]["bins"]["backlog"][:bins], default=0),
        "packet_drops": {name: ledgers[name]["drops"] for name in ("up", "down")},
        "shaper_late_ms": ledgers["up"]["late_ms"],
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


def series(
    log: dict[str, Any], ledgers: dict[str, Any] | None, capacity: Capacity, terms: Terms
) -> dict[str, list[Any]]:
    """Return a run second by second, for the plot: kbit/s the link could carry and carried, and each frame's fate."""
    seconds = int(terms.seconds)
    could = [capacity.bytes_between(s * NS_PER_S, (s + 1) * NS_PER_S) * 8 / 1000 for s in range(seconds)]
    left = ledgers["up"]["bins"]["left"] if ledgers else []
    step = round(1 / BIN_S)
    carried = [sum(left[step * s : step * (s + 1)]) * 8 / 1000 for s in range(seconds)] if left else []
    frames = [
        [
            round(row[_SEQ] / terms.fps, 2),
            row[_QUALITY],
            row[_DIVISOR],
            row[_ACKED] if row[_FATE] == DELIVERED else None,
        ]
        for row in log["rows"]
    ]
    return {
        "could_kbit": [round(x) for x in could],
        "carried_kbit": [round(x) for x in carried],
        "frames": frames,
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the runs of one profile as a Markdown table."""
    columns = (
        "sent",
        "in time",
        "late",
        "quality",
        "delivered quality",
        "p50 ms",
        "p95",
        "p99",
        "link used",
        "lost",
    )
    lines = [f"| policy | {' | '.join(columns)} |", "| --- " + "| ---: " * len(columns) + "|"]
    for policy, result in results.items():
        count = max(1, result["captured"])
        wait = result["latency_ms"] or {}
        link = result["link"] or {"utilisation": None, "packet_drops": {"up": {}}}
        cells = (
            f"{100 * result['sent'] / count:.0f} %",
            f"{100 * result['in_time_share']:.1f} %",
            str(result["late"]),
            _shown(result["mean_quality"], ".2f"),
            f"{result['delivered_quality']:.2f}",
            *(_shown(wait.get(name), ".0f") for name in ("p50", "p95", "p99")),
            _shown(None if link["utilisation"] is None else 100 * link["utilisation"], ".0f", " %"),
            str(sum(link["packet_drops"]["up"].values())),
        )
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | None, form: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{form}}{unit}"
