"""`python -m benchmarks demo`: two processes, a synthetic street, a table, a picture and a video."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.demo.compare import Rival, at_same_bytes, available_codecs
from benchmarks.demo.picture import Panel, draw_sheet
from benchmarks.demo.processes import Cloud, stream
from benchmarks.demo.report import Row, picture_lines, stream_lines
from benchmarks.rd.controls import best_shift
from benchmarks.report import describe_run
from common.errors import StreamError, UsageError
from common.types import RgbImage, StereoFrame

ROOT = Path(__file__).resolve().parents[2]
VEHICLE, PACED_VEHICLE = "street", "street-paced"
PACED_FRAMES = 16
PACE_SHARE = 0.7
"""Latency is measured at this share of the throughput: above it, latency is only a growing queue."""
FASTEST_FPS = 10.0
LEAST_SIDE_PX = 128
"""MS-SSIM's five levels need this much."""
SHEET_ROWS = 3
EDGE_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Plan:
    """What to stream and where to leave the results."""

    seed: int
    height: int
    width: int
    frames: int
    quality: int
    fps: float | None
    bundle: str | None
    steps: int | None
    out: Path

    @property
    def camera(self) -> str:
        """Return the camera in the words of `mdic-edge stream --camera`."""
        return f"synthetic:{self.seed}:{self.height}x{self.width}"


@dataclass(frozen=True)
class Streamed:
    """What the processes reported: the edge's two summaries, the second one's pace, the cloud's exit code."""

    full: dict[str, Any]
    paced: dict[str, Any]
    pace_fps: float
    cloud_exit_code: int


def main(argv: list[str] | None = None) -> int:
    """Run the demo and print its table.

    Raises:
        UsageError: an option makes no sense.
        StreamError: one of the processes failed, or no frame came out.
    """
    plan = parse(argv)
    started = time.monotonic()
    rebuilt_folder = plan.out / "rebuilt"
    shutil.rmtree(rebuilt_folder, ignore_errors=True)
    for name in ("demo.mp4", "demo.png", "demo.json"):
        (plan.out / name).unlink(missing_ok=True)
    rebuilt_folder.mkdir(parents=True)

    # Asked to end, we leave through the `with` below, so that no process of ours stays behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    streamed = run_stream(plan, rebuilt_folder)
    shown = read_rebuilt(rebuilt_folder / VEHICLE)
    if streamed.cloud_exit_code != 0:
        raise StreamError(
            f"the cloud ended with exit code {streamed.cloud_exit_code}: see {plan.out / 'cloud.log'}"
        )
    if not shown:
        raise StreamError(f"no frame was rebuilt: see {plan.out / 'cloud.log'}")
    rows, skipped, sheet = compare(plan, shown)
    pixels = plan.height * plan.width
    result = {
        "command": "demo",
        "camera": plan.camera,
        "stream": streamed.full,
        "paced_fps": streamed.pace_fps,
        "paced_stream": streamed.paced,
        "pictures": [row.as_dict(pixels) for row in rows],
        "skipped": skipped,
        "seconds": round(time.monotonic() - started, 1),
        "run": describe_run(["python", "-m", "benchmarks", "demo", *(argv or sys.argv[2:])], plan.seed),
    }
    (plan.out / "demo.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    title = f"MDIC-Stream, synthetic street {plan.seed}, {plan.height}x{plan.width}, quality {plan.quality}"
    heads = [
        "source (main view)",
        "side view, at the decoder",
        "rebuilt by MDIC-Stream",
        "WebP at the same bytes",
    ]
    draw_sheet(plan.out / "demo.png", heads, sheet, title)
    print_table(plan, result)
    return 0


def parse(argv: list[str] | None) -> Plan:
    """Read the options.

    Raises:
        UsageError: one makes no sense.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks demo", description=__doc__)
    parser.add_argument("--size", default="192x640", metavar="HxW", help="frame size (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=32, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--quality", type=int, default=3, choices=range(8), metavar="0..7", help="default: %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=7, metavar="N", help="which street (default: %(default)s)"
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="F",
        help="camera's pace for the latency (default: what this machine keeps up with)",
    )
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle (default: the one shipped)")
    parser.add_argument("--steps", type=int, metavar="N", help="diffusion steps (default: the bundle's)")
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), metavar="DIR", help="default: %(default)s"
    )
    options = parser.parse_args(argv)
    size = re.fullmatch(r"(\d{2,4})[xX](\d{2,4})", options.size)
    if not size or min(int(size[1]), int(size[2])) < LEAST_SIDE_PX or max(int(size[1]), int(size[2])) > 4096:
        raise UsageError(f"--size {options.size!r} is not HEIGHTxWIDTH of {LEAST_SIDE_PX} to 4096 each")
    if options.frames < 1 or (options.fps is not None and not 0 < options.fps <= 1000):
        raise UsageError(f"--frames {options.frames} or --fps {options.fps} makes no sense")
    return Plan(
        seed=options.seed,
        height=int(size[1]),
        width=int(size[2]),
        frames=options.frames,
        quality=options.quality,
        fps=options.fps,
        bundle=options.bundle,
        steps=options.steps,
        out=options.out,
    )


def run_stream(plan: Plan, rebuilt_folder: Path) -> Streamed:
    """Serve in one process, stream from another: at full speed, then at a pace this machine keeps up with."""
    bundle = ["--bundle", plan.bundle] if plan.bundle else []
    steps = ["--steps", str(plan.steps)] if plan.steps else []
    sinks = ["--sink", f"images:{rebuilt_folder}", "--sink", f"video:{plan.out / 'demo.mp4'}"]
    say("starting the cloud")
    with Cloud([*sinks, *bundle, *steps], ROOT, plan.out / "cloud.log") as cloud:
        address = cloud.address()
        say(f"the cloud listens on {address}; streaming {plan.frames} frames of {plan.height}x{plan.width}")

        def edge(vehicle: str, frames: int, fps: float) -> dict[str, Any]:
            arguments = ["--camera", plan.camera, "--cloud", address, "--vehicle", vehicle]
            arguments += ["--frames", str(frames), "--fps", f"{fps:g}", "--quality", str(plan.quality)]
            arguments += ["--timeout", "180", *bundle]
            log = plan.out / f"edge-{vehicle}.log"
            printed = stream(arguments, ROOT, log, EDGE_TIMEOUT_S)
            if not printed:
                raise StreamError(f"the edge reported nothing: see {log}")
            return printed[-1]

        full = edge(VEHICLE, plan.frames, 0)
        pace = plan.fps or round(min(FASTEST_FPS, max(0.05, PACE_SHARE * (full["fps"] or 0.0))), 2)
        count = min(PACED_FRAMES, plan.frames)
        say(f"{full['fps']} frames per second; now {count} frames at {pace} for the latency")
        paced = edge(PACED_VEHICLE, count, pace)
    # The sink names a second vehicle's video after the vehicle; this one shows nothing new.
    (plan.out / f"demo-{PACED_VEHICLE}.mp4").unlink(missing_ok=True)
    return Streamed(full, paced, pace, int(cloud.exit_code or 0))


def read_rebuilt(folder: Path) -> dict[int, tuple[RgbImage, int]]:
    """Return sequence number -> ((H, W, 3) uint8 RGB, packet bytes) of what the images sink wrote."""
    index = folder / "index.jsonl"
    frames: dict[int, tuple[RgbImage, int]] = {}
    for line in index.read_text("utf-8").splitlines() if index.is_file() else ():
        entry = json.loads(line)
        picture = cv2.imread(str(folder / entry["file"]), cv2.IMREAD_COLOR)
        if picture is not None:
            frames[int(entry["seq"])] = (cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), int(entry["bytes"]))  # type: ignore[assignment]
    return frames


def sources(plan: Plan) -> list[StereoFrame]:
    """Draw the street again, with the same camera in this process."""
    from edge.camera import open_camera

    camera = open_camera(plan.camera, limit=plan.frames)
    try:
        return list(camera.frames())
    finally:
        camera.close()


def compare(
    plan: Plan, shown: dict[int, tuple[RgbImage, int]]
) -> tuple[list[Row], dict[str, str], list[list[Panel]]]:
    """Measure what was rebuilt against its source, and what else the same bytes buy."""
    codecs, skipped = available_codecs()
    ours, shifted = (
        Row("MDIC-Stream"),
        Row("side view, shifted", note="no bits: what the side view gives for nothing"),
    )
    rival_rows = {codec.label: Row(codec.label) for codec in codecs}
    rivals: dict[str, list[Rival]] = {codec.label: [] for codec in codecs}
    pairs = [(frame, *shown[frame.seq]) for frame in sources(plan) if frame.seq in shown]
    chosen = {round(i) for i in np.linspace(0, len(pairs) - 1, min(SHEET_ROWS, len(pairs)))}
    sheet: list[list[Panel]] = []
    for number, (frame, rebuilt, coded_bytes) in enumerate(
        tqdm(pairs, "comparing", disable=None, leave=False)
    ):
        assert frame.main is not None and frame.side is not None
        ours.add(frame.main, rebuilt, coded_bytes)
        shifted.add(frame.main, best_shift(frame.main, frame.side)[0], 0)
        for codec in codecs:
            rival = at_same_bytes(codec, frame.main, coded_bytes)
            rivals[codec.label].append(rival)
            rival_rows[codec.label].add(frame.main, rival.image, rival.coded_bytes)
        if number in chosen:
            label = codecs[0].label
            first = rivals[label][-1]
            small = f"   1/{first.scale} size" if first.scale > 1 else ""
            sheet.append(
                [
                    Panel(frame.main, f"frame {frame.seq}"),
                    Panel(frame.side, f"shifted as a whole: {shifted.psnr_db[-1]:.1f} dB"),
                    Panel(rebuilt, ours.latest()),
                    Panel(first.image, rival_rows[label].latest() + small),
                ]
            )
    for label, row in rival_rows.items():
        row.note = rival_note(rivals[label])
    return [ours, *rival_rows.values(), shifted], skipped, sheet


def rival_note(frames: list[Rival]) -> str:
    """Say how a codec was made to fit, and what its smallest file at full size would be."""
    if all(rival.scale == 1 for rival in frames):
        return ""
    scales = sorted({rival.scale for rival in frames})
    told = f"{scales[0]}x" if len(scales) == 1 else f"{scales[0]}x to {scales[-1]}x"
    smallest = sum(rival.smallest_bytes for rival in frames) / len(frames)
    return f"shrunk {told} to fit; its smallest at full size: {smallest:,.0f} bytes"


def print_table(plan: Plan, result: dict[str, Any]) -> None:
    """Print the figures and where the results lie."""
    lines = stream_lines(result["stream"], result["paced_stream"], result["paced_fps"])
    print(f"\nMDIC-Stream demo: {plan.camera}, quality {plan.quality}, bundle {result['stream']['bundle']}\n")
    print("\n".join(lines))
    print(f"\nthe main view against its source, means over {result['pictures'][0]['frames']} frames\n")
    print("\n".join(picture_lines(result["pictures"])))
    for label, why in result["skipped"].items():
        print(f"  {label}: {why}")
    print(
        f"\nleft in {plan.out} after {result['seconds']:.0f} s: demo.png, demo.mp4, demo.json, rebuilt/",
        flush=True,
    )


def say(line: str) -> None:
    """Tell a person what happens; the table alone goes to standard output."""
    print(f"demo: {line}", file=sys.stderr, flush=True)
