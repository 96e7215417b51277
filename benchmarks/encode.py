"""`python -m benchmarks encode`: how long the edge encoder takes, warm, stage by stage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks import report
from benchmarks.rd.results import write_json
from common.errors import DatasetError, UsageError
from common.types import RgbImage

WARM_UP_FRAMES = 3
_SEED = 7


def main(argv: list[str]) -> int:
    """Run the benchmark; the table goes to stdout."""
    options = _parser().parse_args(argv)
    if options.repeat < 1:
        raise UsageError(f"--repeat must be at least 1 (got {options.repeat})")
    size = parse_size(options.size) if options.size else None
    from common.bundle import Bundle
    from edge.encoder import Encoder

    bundle = Bundle.load(options.bundle)
    frames = (
        synthetic_frames(size or (375, 1242))
        if options.data == "synthetic"
        else real_frames(options.data, size)
    )
    encoder = Encoder(bundle, threads=options.threads)
    runs = time_encoder(encoder, frames, options.quality, options.repeat)
    height, width = frames[0].shape[:2]
    document = report.describe_run(report.command_line("benchmarks", ["encode", *argv]), _SEED) | {
        "bundle": {"name": bundle.name, "id": bundle.hex},
        "height": height,
        "width": width,
        "quality": options.quality,
        "threads": options.threads,
        "frames": len(frames),
        "repeat": options.repeat,
        "packet_bytes_mean": float(np.mean([run["packet_bytes"] for run in runs])),
        "ms": summary([run["ms"] for run in runs]),
        "runs": runs,
    }
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return 0


def time_encoder(encoder: Any, frames: Sequence[RgbImage], quality: int, repeat: int) -> list[dict[str, Any]]:
    """Encode `repeat` frames in turn after a warm-up and return packet size and stage times of each."""
    for i in range(WARM_UP_FRAMES):
        encoder.encode(frames[i % len(frames)], quality)
    runs = []
    for i in tqdm(range(repeat), desc="encode", unit="frame", disable=None):
        encoded = encoder.encode(frames[i % len(frames)], quality)
        runs.append({"packet_bytes": len(encoded.packet), "ms": {k: float(v) for k, v in encoded.ms.items()}})
    return runs


def summary(times: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median, 95th percentile and largest of every stage, in milliseconds."""
    stages = {stage: [t[stage] for t in times] for stage in times[0]}
    return {
        stage: {"median": float(np.median(v)), "p95": float(np.percentile(v, 95)), "max": float(np.max(v))}
        for stage, v in stages.items()
    }


def parse_size(text: str) -> tuple[int, int]:
    """Read `HEIGHTxWIDTH`.

    Raises:
        UsageError: anything else.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--size {text!r}: expected HEIGHTxWIDTH, such as 375x1242")
    return int(parts[0]), int(parts[1])


def synthetic_frames(size: tuple[int, int], count: int = 4) -> list[RgbImage]:
    """Return main views of the synthetic street, (H, W, 3) uint8 RGB."""
    from common.synthetic import StereoStreet

    street = StereoStreet(_SEED, height=size[0], width=size[1])
    return [street.frame(i).main for i in range(count)]


def real_frames(data: str, size: tuple[int, int] | None, count: int = 8) -> list[RgbImage]:
    """Return main views of a dataset, spread over it, all of one size (that of the first unless given)."""
    from benchmarks.rd.protocol import Samples, SideView

    samples = Samples(Path(data), "full", SideView("none"))
    every = max(1, len(samples) // count)
    views = [sample.main for sample in Samples(Path(data), "full", SideView("none"), count, every)]
    if not views:
        raise DatasetError(data, "no stereo pair in it")
    height, width = size or views[0].shape[:2]
    return [
        view
        if view.shape[:2] == (height, width)
        else np.ascontiguousarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA))
        for view in views
    ]


def table(document: dict[str, Any]) -> str:
    """Return the summary as a Markdown table."""
    machine = document["machine"]
    lines = [
        f"Encode of {document['width']}x{document['height']} at quality {document['quality']}, warm, "
        f"{document['repeat']} runs over {document['frames']} frames, {machine['cores']} cores "
        f"of {machine['cpu']}, "
        f"{document['packet_bytes_mean']:.0f} bytes a packet",
        "",
        "| stage | median ms | p95 ms | max ms |",
        "| --- | ---: | ---: | ---: |",
    ]
    for stage, value in document["ms"].items():
        lines.append(f"| {stage} | {value['median']:.1f} | {value['p95']:.1f} | {value['max']:.1f} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks encode", description=__doc__)
    add = parser.add_argument
    add("--data", default="synthetic", help="a stereo dataset, or `synthetic` (default)")
    add("--size", help="HEIGHTxWIDTH (default: 375x1242 synthetic, the dataset's own otherwise)")
    add("--repeat", type=int, default=20, help="timed frames (default 20), after three untimed ones")
    add("--quality", type=int, default=4, help="quality index (default 4)")
    add("--threads", type=int, default=0, help="ONNX Runtime threads (default 0: one a core)")
    add("--bundle", help="name or path of the bundle")
    add("--json", type=Path, help="write every run and the summary to this file")
    return parser
