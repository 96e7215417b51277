"""Tables of what the stream bears: faults, soak, load and links, from their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def faults(document: Mapping[str, Any]) -> str:
    """Return a row for each fault of `make faults`."""
    rows = [
        [str(row["fault"]).removeprefix("test_").replace("_", " "), row.get("rounds", 1), *_account(row)]
        for row in document["faults"]
    ]
    return _table(["fault", "rounds", "frames captured", "in the sink once", "seconds"], rows)


def _account(row: Mapping[str, Any]) -> list[Any]:
    return [row.get("captured", "–"), row.get("kept_once", "–"), row["seconds"]]


def gateway(document: Mapping[str, Any]) -> str:
    """Return a row for each load that was tried."""
    rows = [
        [
            run["vehicles"],
            f"{run['frames_a_second']:.0f}",
            f"{run['latency_ms']['p50']:.1f}",
            f"{run['latency_ms']['p99']:.1f}",
            f"{run['server_cores']:.2f}",
            f"{run['generator_cores']:.2f}",
            "yes" if run["held"] else "no",
        ]
        for run in document["rounds"]
    ]
    head = ["vehicles", "frames/s", "p50 ms", "p99 ms", "server, cores", "generator, cores", "held"]
    return _table(head, rows)


def soak(document: Mapping[str, Any]) -> str:
    """Return what grew between warm-up and end, in both processes."""
    rows = []
    for side, growth in document["growth"].items():
        for what, numbers in growth.items():
            if isinstance(numbers, Mapping):
                rows.append([side, what, f"{numbers['after_warm_up']:.0f}", f"{numbers['end']:.0f}"])
    counts = document["counts"]
    told = f"{counts['sent']} frames over {counts['connections']} connections in {document['seconds']:.0f} s."
    return _table(["process", "what", "after warm-up", "end"], rows) + f"\n{told}\n"


def link(document: Mapping[str, Any]) -> str:
    """Return a row for each policy on one link."""
    rows = []
    for policy, run in document["results"].items():
        delay = run["latency_ms"] or {}
        used = run["link"].get("utilisation")
        rows.append(
            [
                document["profile"]["name"],
                policy,
                f"{run['in_time_share']:.1%}",
                f"{run['delivered_quality']:.2f}",
                f"{delay.get('p50', float('nan')):.0f}",
                f"{delay.get('p95', float('nan')):.0f}",
                "–" if used is None else f"{used:.0%}",
            ]
        )
    return _table(["link", "policy", "in time", "delivered quality", "p50 ms", "p95 ms", "link used"], rows)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
