"""What a rate curve must obey: more bits, better pictures; and bytes that are worth what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rd.metrics import METRICS

HEADER_BYTES_ALLOWED = 6
ENTROPY_OVERHEAD_ALLOWED = 0.01


def monotone(points: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, Any]:
    """Tell whether the rate rises and every metric improves from each quality index to the next.

    Args:
        points: `{"setting", "mean"}` of our curve, in order of the quality index.
        metrics: keys of METRICS.

    Returns:
        `rate` and a key per metric, each `{"holds": bool, "breaks": [[quality, next quality, before, after]]}`;
        a metric that some point lacks is left out. Fewer than two points hold nothing: `{}`.
    """
    if len(points) < 2:
        return {}
    found = {}
    for key, field, sign in [
        ("rate", "bpp", 1),
        *((m, m, 1 if METRICS[m].higher_is_better else -1) for m in metrics),
    ]:
        values = [point["mean"].get(field) for point in points]
        if any(value is None for value in values):
            continue
        steps = zip(points, points[1:], values, values[1:], strict=False)
        breaks = [[a["setting"], b["setting"], v, w] for a, b, v, w in steps if sign * (w - v) <= 0]
        found[key] = {"holds": not breaks, "breaks": breaks}
    return found


def monotone_lines(checks: Mapping[str, Any]) -> list[str]:
    """Return a sentence per check, for people."""
    lines = []
    for key, check in checks.items():
        name = "the rate rises" if key == "rate" else f"{METRICS[key].label} improves"
        if check["holds"]:
            lines.append(f"{name} with every quality index")
        else:
            steps = ", ".join(f"{a} to {b} ({v:.4g} to {w:.4g})" for a, b, v, w in check["breaks"])
            lines.append(f"NOT monotone: {name} with every quality index but {steps}")
    return lines


def entropy_overhead(rows: Sequence[Mapping[str, Any]], setting: int) -> dict[str, Any] | None:
    """Compare bytes with the information content of what they code, summed over the pictures of one quality.

    The information content is the sum of -log2 p of every coded symbol, p from the integer tables that the
    coder used. A payload is whole bytes, so a fraction of a byte a frame is lost whatever the coder does;
    `rounding` is what that alone would cost.

    Args:
        rows: pictures with `bytes`, `payload_bytes` and `information_bits`.
        setting: the quality index.

    Returns:
        The quality, mean bits of each kind and three overheads as fractions of the information content: `payload`,
        `rounding`, `packet` (header included); None where the rows do not carry the numbers.
    """
    if not rows or any(row.get("information_bits") is None for row in rows):
        return None
    information = sum(row["information_bits"] for row in rows)
    payload = sum(row["payload_bytes"] for row in rows) * 8
    packet = sum(row["bytes"] for row in rows) * 8
    rounded = sum(-(-row["information_bits"] // 8) * 8 for row in rows)
    headers = [row["bytes"] - row["payload_bytes"] for row in rows]
    if information <= 0:
        return None
    return {
        "setting": setting,
        "information_bits": information / len(rows),
        "payload_bits": payload / len(rows),
        "packet_bits": packet / len(rows),
        "header_bytes": max(headers),
        "payload": payload / information - 1,
        "rounding": rounded / information - 1,
        "packet": packet / information - 1,
    }


def entropy_table(checks: Sequence[Mapping[str, Any]]) -> str:
    """Return the overheads as a Markdown table."""
    lines = [
        "| quality | information bits | payload bits | over | of it whole bytes | packet bits | over | header bytes |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for check in checks:
        lines.append(
            f"| {check['setting']} | {check['information_bits']:.1f} | {check['payload_bits']:.1f} "
            f"| {100 * check['payload']:+.2f} % | {100 * check['rounding']:+.2f} % "
            f"| {check['packet_bits']:.1f} | {100 * check['packet']:+.2f} % | {check['header_bytes']} |"
        )
    return "\n".join(lines)
