"""A run over time, as a picture: capacity, latency and quality, one colour a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import canvas


def plot(profile: str, runs: dict[str, dict[str, Any]], deadline_ms: int, path: Path) -> None:
    """Write the picture of one profile's runs.

    Args:
        profile: its name.
        runs: policy -> what `outcome.series` returned.
        deadline_ms: drawn as a line.
        path: PNG file to write.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    figure = canvas.blank(10, 8)
    rate, latency, quality = figure.subplots(3, 1, sharex=True)
    could = next(iter(runs.values()))["could_kbit"]
    rate.fill_between(range(len(could)), could, step="post", color="0.9", label="link")
    for policy, run in runs.items():
        if run["carried_kbit"]:
            rate.step(range(len(run["carried_kbit"])), run["carried_kbit"], where="post", lw=1, label=policy)
        arrived = [(at, wait) for at, _, _, wait in run["frames"] if wait is not None]
        latency.plot([at for at, _ in arrived], [wait for _, wait in arrived], ".", ms=3, label=policy)
        shown = [
            (at, index) for at, index, _, wait in run["frames"] if wait is not None and wait <= deadline_ms
        ]
        quality.plot([at for at, _ in shown], [index for _, index in shown], ".", ms=3, label=policy)
    rate.set(yscale="symlog", ylabel="kbit/s", title=f"{profile}: what the link could carry, and carried")
    latency.set(yscale="log", ylabel="ms", title="capture to ack, delivered frames")
    latency.axhline(deadline_ms, color="0.5", lw=1, ls="--")
    quality.set(xlabel="s", ylabel="quality", title="quality of frames delivered in time", ylim=(-0.5, 7.5))
    rate.legend(loc="lower right", fontsize="small")
    canvas.save(figure, path)
