"""`python -m benchmarks downstream`: what frozen perception makes of a rebuilt frame, against the source."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.downstream import figure
from benchmarks.downstream.flow import WEIGHTS_FILE as FLOW_WEIGHTS
from benchmarks.downstream.flow import Flow
from benchmarks.downstream.judge import Judge, compare
from benchmarks.downstream.scenes import SYNTHETIC, Scene, Scenes, SyntheticScenes, open_scenes
from benchmarks.downstream.segmenter import WEIGHTS_FILE as SEGMENTER_WEIGHTS
from benchmarks.downstream.segmenter import Segmenter
from benchmarks.downstream.subjects import candidates
from benchmarks.downstream.tally import Tally
from benchmarks.downstream.teachers import find_weights, teachers_folder
from benchmarks.encode import parse_size
from benchmarks.rd import sheet
from benchmarks.rd.ours import Ours, parse_qualities, thin
from benchmarks.rd.protocol import SideView
from benchmarks.rd.results import write_json
from benchmarks.sequence.ours import decoder_fingerprint
from common.errors import UsageError

SEED = 7


def main(argv: list[str]) -> int:
    """Run the benchmark; the table goes to stdout, the files to --out and --json."""
    options = _parser().parse_args(argv)
    side = SideView.parse(options.side)
    if side.kind == "none":
        raise UsageError("--side none: the stereo matcher needs a side view (choose webp or jpeg:QUALITY)")
    size = parse_size(options.size) if options.size else None
    sequences = tuple(name.strip() for name in options.sequences.split(",") if name.strip())
    scenes = open_scenes(options.data, side, options.limit, options.every, sequences, options.seed, size)
    device = _device(options.device)
    folder = teachers_folder(options.teachers)
    ours, bundle = Ours.load(options.bundle, options.device, options.steps)
    qualities = parse_qualities(options.qualities, bundle["qualities"])
    if options.qualities is None:
        qualities = thin(qualities)
    segmenter, flow, notes = _networks(folder, bool(sequences) or options.data == SYNTHETIC, device)
    settings = {
        "data": options.data if options.data == SYNTHETIC else Path(options.data).name,
        "side": str(side),
        "bundle": bundle["id"],
        "decoder_code": decoder_fingerprint(),
        "steps": options.steps,
        "qualities": list(qualities),
        "segmenter": None if segmenter is None else Segmenter.name,
        "flow": None if flow is None else Flow.name,
        "sequences": sorted(sequences),
        "seed": options.seed,
        "size": options.size,
    }
    tally = Tally(settings, options.seed)
    for note in notes:
        tally.note(note)
    if len(scenes) < scenes.available:
        tally.note(
            f"{len(scenes)} of {scenes.available} pairs (--every {options.every}, --limit {options.limit})"
        )
    todo = list(scenes.scenes())
    if options.json is not None and options.json.exists() and not options.fresh:
        taken = tally.resume(options.json, [scene.name for scene in todo])
        print(f"{taken} of {len(todo)} pairs were finished earlier ({options.json})", file=sys.stderr)
    about = report.describe_run(report.command_line("benchmarks", ["downstream", *argv]), options.seed) | {
        "pairs": len(scenes),
        "pairs_available": scenes.available,
        "bundle": bundle,
        "device": device,
    }
    run(todo, tally, ours, qualities, Judge(segmenter, flow), about, options.json, options.out)
    _finish(tally, about, scenes, options)
    return 0


def run(
    todo: list[Scene],
    tally: Tally,
    ours: Ours,
    qualities: tuple[int, ...],
    judge: Judge,
    about: dict[str, Any],
    json_path: Path | None,
    out: Path | None,
) -> None:
    """Judge every picture of every pair that is not finished, the JSON file kept up to date pair by pair."""
    left = [scene for scene in todo if not tally.has(scene.name)]
    with tqdm(
        total=len(todo), initial=len(todo) - len(left), unit="pair", desc="downstream", disable=None
    ) as bar:
        for scene in left:
            sample = scene.read()
            following = scene.following() if scene.following is not None else None
            source = judge.answer(sample.main, sample, following)
            pixels = sample.main.shape[0] * sample.main.shape[1]
            rows, judged = [], []
            for candidate in candidates(sample, ours, qualities):
                answer = judge.answer(candidate.image, sample, following)
                size = candidate.payload_bytes
                rate = {"bytes": size, "bpp": None if size is None else size * 8 / pixels}
                rows.append((candidate.subject, rate | compare(source, answer) | candidate.extra))
                judged.append((candidate, answer))
            tally.add(scene.name, rows)
            if out is not None and scene is todo[0]:
                tiles = figure.scene_tiles(sample.main, source, judged)
                sheet.write(out / "scene.png", {scene.name: tiles})
            if json_path is not None:
                write_json(json_path, tally.document(about, complete=False))
            bar.update()


def _networks(
    folder: Path | None, moving: bool, device: str
) -> tuple[Segmenter | None, Flow | None, list[str]]:
    """Return the networks whose weights are there, and a sentence for each that is not."""
    notes = []
    path, why = find_weights(folder, SEGMENTER_WEIGHTS, "segmenter")
    segmenter = None if path is None else Segmenter.load(path, device)
    notes += [why] if why else []
    flow = None
    if moving:
        path, why = find_weights(folder, FLOW_WEIGHTS, "optical flow")
        flow = None if path is None else Flow.load(path, device)
        notes += [why] if why else []
    return segmenter, flow, notes


def _finish(
    tally: Tally, about: dict[str, Any], scenes: Scenes | SyntheticScenes, options: argparse.Namespace
) -> None:
    written = []
    if options.json is not None:
        write_json(options.json, tally.document(about, complete=True))
        written.append(options.json)
    if options.out is not None:
        written.append(figure.draw(tally.points(), len(scenes), options.out / "downstream.png"))
        if (options.out / "scene.png").exists():
            written.append(options.out / "scene.png")
    print(
        f"Agreement with the answers on the source: {len(scenes)} pairs of {tally.settings['data']}, full size\n"
    )
    print(tally.table())
    for note in tally.notes:
        print(f"\nNote: {note}.")
    for path in written:
        print(f"wrote {path}", file=sys.stderr)


def _device(name: str) -> str:
    """Return the torch device of the frozen networks."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks downstream", description=__doc__)
    add = parser.add_argument
    add("--data", default=SYNTHETIC, help="a stereo dataset, a folder of them, or `synthetic` (default)")
    add("--teachers", type=Path, help="folder of the frozen networks' weights (default: $MDIC_TEACHERS)")
    add(
        "--json",
        type=Path,
        help="write everything measured, per picture, to this file; a later run goes on from it",
    )
    add("--fresh", action="store_true", help="do not go on from the file of --json, overwrite it")
    add("--out", type=Path, help="write the plot and one scene as a picture to this folder")
    add("--limit", type=int, help="at most so many pairs (after --every)")
    add(
        "--size",
        help="HEIGHTxWIDTH of the synthetic street (default 375x1242); real frames are taken as they are",
    )
    add("--every", type=int, default=1, help="take every n-th pair")
    add(
        "--qualities",
        help="qualities of ours, such as 0,4,7 (default: the lowest, the middle and the highest)",
    )
    add(
        "--sequences",
        default="",
        help="names of the datasets whose frames follow each other: optical flow is judged there",
    )
    add("--side", default="webp", help="the decoder's side view: webp (lossless) or jpeg:QUALITY")
    add("--bundle", help="name or path of the bundle")
    add("--steps", type=int, help="denoising steps (default: the bundle's)")
    add("--seed", type=int, default=SEED, help=f"of the intervals and the synthetic street (default {SEED})")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the decoder and the networks run",
    )
    return parser
