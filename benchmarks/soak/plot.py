"""Draw what both processes held over the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.soak.verdict import Sample
from common.errors import MissingDependency


def draw(samples: Mapping[str, Sequence[Sample]], path: Path) -> None:
    """Write a PNG: memory above, descriptors, threads and tasks below, each process in its own colour.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependency("matplotlib", "bench") from error
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True)
    for name, seen in samples.items():
        frames = [s.frames for s in seen]
        (line,) = above.plot(frames, [s.rss_kib / 1024 for s in seen], label=name)
        for quantity, style in (("descriptors", "-"), ("threads", "--"), ("tasks", ":")):
            values = [getattr(s, quantity) for s in seen]
            if any(value is not None for value in values):
                numbers = [float("nan") if value is None else value for value in values]
                below.plot(frames, numbers, style, color=line.get_color(), label=f"{name}, {quantity}")
    above.set_ylabel("resident memory, MiB")
    above.set_ylim(bottom=0)
    below.set_ylabel("count")
    below.set_ylim(bottom=0)
    below.set_xlabel("frames answered")
    above.legend()
    below.legend(fontsize="small", ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
