"""`python -m benchmarks sequence`: both cameras of a drive at equal total bytes, and stability over time.

Ours codes the main view and gets the side view as low-delay AV1 left it; the rivals code both cameras by
low-delay AV1 or HEVC. What is finished is kept in OUT/cache, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.encode import parse_size
from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.ours import parse_qualities
from benchmarks.rd.results import write_json
from benchmarks.sequence import ours, plots
from benchmarks.sequence.clip import RATE_HZ, SYNTHETIC_SEED, Clip, draw_clip, read_clip
from benchmarks.sequence.compare import Measured, comparisons, measured
from benchmarks.sequence.lowdelay import CODECS, CodedVideo, LowDelayCodec, codec_named
from benchmarks.sequence.measure import Coded, Track, Walk
from benchmarks.sequence.ours import SequenceCoder
from benchmarks.sequence.showcase import Exhibit, choose, showcase
from benchmarks.sequence.store import Store
from benchmarks.sequence.tables import tables
from common.errors import UsageError

SCHEMA = 1
DEFAULT_SIZE = (375, 1242)
DEFAULT_FRAMES = 40
DEFAULT_QUALITIES = "0,2,4,7"
DEFAULT_SIDES = "av1-half:70,av1-half:67,av1-half:64,70,66,62,58"


@dataclass(frozen=True)
class Plan:
    """Say what is coded.

    Attributes:
        qualities: of ours.
        sides: (codec, setting) of the side views that ours is decoded with.
        rivals: conventional codecs on both cameras, each at every setting of its ladder.
    """

    qualities: tuple[int, ...]
    sides: tuple[tuple[str, int], ...]
    rivals: tuple[LowDelayCodec, ...]

    def tracks(self) -> list[Track]:
        """Return all tracks, side views first; none twice."""
        found = [Track("side", codec, setting) for codec, setting in self.sides]
        for rival in self.rivals:
            found += [Track(view, rival.name, s) for view in ("main", "side") for s in rival.ladder]
        found += [Track("main", ours.NAME, q, *side) for side in self.sides for q in self.qualities]
        return list(dict.fromkeys(found))

    def opponents(self) -> list[str]:
        """Return the rivals by name; AV1 at two sizes is also one that picks the better size for each view."""
        names = [codec.name for codec in self.rivals]
        return [*names, "av1+av1-half"] if {"av1", "av1-half"} <= set(names) else names


class Library:
    """Code views once, whoever asks for them."""

    def __init__(self, clip: Clip, store: Store, coder: SequenceCoder, bundle: dict[str, Any]) -> None:
        self._clip, self._store, self._coder, self._bundle = clip, store, coder, bundle

    def rival(self, view: str, codec: LowDelayCodec, setting: int) -> CodedVideo:
        """Return a view coded by a conventional codec."""
        facts = {"clip": self._clip.digest, "view": view, "codec": codec.name, "setting": setting}
        with self._bar(f"code {view} {codec.name}:{setting}") as bar:
            return self._store.coded(
                facts | codec.facts(), lambda: codec.encode(self._clip.view(view), setting, bar.update)
            )

    def mine(self, quality: int) -> CodedVideo:
        """Return the main view coded by ours."""
        facts = {"clip": self._clip.digest, "bundle": self._bundle["id"], "quality": quality}
        facts["code"] = ours.decoder_fingerprint()
        with self._bar(f"code main {ours.NAME}:{quality}") as bar:
            return self._store.coded(facts, lambda: self._coder.encode(self._clip.main, quality, bar.update))

    def everything(self, tracks: Sequence[Track]) -> dict[tuple[str, str, int], CodedVideo]:
        """Return the streams of all tracks. The rivals' encoders take one thread each: one a core at a time."""
        wanted = {t.stream: t for t in tracks}
        theirs = [t for t in wanted.values() if not t.is_ours]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            coded = pool.map(lambda t: self.rival(t.view, codec_named(t.codec), t.setting), theirs)
            shown = tqdm(coded, "streams", len(theirs), unit="stream", disable=None, leave=False)
            found = {t.stream: video for t, video in zip(theirs, shown, strict=True)}
        return found | {t.stream: self.mine(t.setting) for t in wanted.values() if t.is_ours}

    def _bar(self, title: str) -> Any:
        return tqdm(total=len(self._clip), desc=title, unit="frame", disable=None, leave=False)


def main(argv: list[str]) -> int:
    """Run the benchmark; the tables go to stdout, the files to --out."""
    options = _parser().parse_args(argv)
    if options.every < 1 or any(n is not None and n < 2 for n in (options.frames, options.watch)):
        raise UsageError(
            f"--every {options.every}, --frames {options.frames} or --watch {options.watch} makes no sense"
        )
    metrics = parse_metrics(options.metrics)
    sides = parse_sides(options.sides)
    rivals = tuple(codec_named(name.strip()) for name in options.codecs.split(",") if name.strip())
    clip = _clip(options)
    device = _device(options.device)
    judge = Judge(metrics, options.weights, device)
    coder, bundle = SequenceCoder.load(options.bundle, device, options.steps)
    plan = Plan(_qualities(options.qualities, bundle["qualities"]), sides, rivals)
    store = Store(options.out / "cache")
    library = Library(clip, store, coder, bundle)
    tracks = plan.tracks()
    coded = library.everything(tracks)
    facts = row_facts(clip, bundle, metrics, options.every, device, rivals, sides)
    walk = Walk(clip, coded, coder, judge, store, facts, options.every)
    rows = walk.run(tracks, dense=False, title="judge")
    found = [measured(t, rows[t], coded[t.stream], metrics) for t in tracks]
    exhibits = _showcase(options, clip, walk, coded, found, library, metrics)
    document = _document(argv, options, clip, bundle, device, plan, metrics, found, exhibits)
    _write(options, document, found, exhibits, metrics, plan)
    print(tables(document))
    return 0


def row_facts(
    clip: Clip,
    bundle: dict[str, Any],
    metrics: Sequence[str],
    every: int,
    device: str,
    rivals: Sequence[LowDelayCodec],
    sides: Sequence[tuple[str, int]],
) -> dict[str, Any]:
    """Return what a row depends on beside its track."""
    used = {codec.name for codec in rivals} | {name for name, _ in sides}
    return {
        "clip": clip.digest,
        "frames": len(clip),
        "bundle": bundle["id"],
        "steps": bundle["steps"],
        "code": ours.decoder_fingerprint(),
        "metrics": list(metrics),
        "every": every,
        "device": device,
        "codecs": {name: codec_named(name).facts() for name in sorted(used)},
    }


def parse_sides(text: str) -> tuple[tuple[str, int], ...]:
    """Read `70,66,av1-half:57`: settings of AV1, or of the low-delay codec named before the colon.

    Raises:
        UsageError: no number, or no such codec or setting.
    """
    found = []
    for part in text.split(","):
        name, colon, number = part.strip().rpartition(":")
        codec = codec_named(name if colon else "av1")
        if not number.isdecimal() or not 1 <= int(number) <= codec.coarsest:
            raise UsageError(f"--sides {part.strip()!r}: expected 1 to {codec.coarsest}, or CODEC:NUMBER")
        found.append((codec.name, int(number)))
    return tuple(dict.fromkeys(found))


def _qualities(text: str, available: int) -> tuple[int, ...]:
    if text == DEFAULT_QUALITIES and available < 8:
        return tuple(range(available))
    return parse_qualities(None if text == "all" else text, available)


def _clip(options: argparse.Namespace) -> Clip:
    if options.data is not None:
        if options.size:
            raise UsageError("--size is for the synthetic drive; real frames keep their size")
        return read_clip(options.data, options.frames)
    height, width = parse_size(options.size) if options.size else DEFAULT_SIZE
    return draw_clip(height, width, options.frames or DEFAULT_FRAMES)


def _showcase(
    options: argparse.Namespace,
    clip: Clip,
    walk: Walk,
    coded: Coded,
    found: Sequence[Measured],
    library: Library,
    metrics: Sequence[str],
) -> list[Exhibit]:
    chosen = choose(found, metrics[0], METRICS[metrics[0]].higher_is_better, options.budget)
    movie = None if options.no_video else options.out / "sequence.mp4"
    rival = codec_named("av1")
    watched, mended = options.watch, options.temporal
    return showcase(clip, walk, coded, chosen, rival, library.rival, metrics, mended, movie, watched)


def _document(
    argv: Sequence[str],
    options: argparse.Namespace,
    clip: Clip,
    bundle: dict[str, Any],
    device: str,
    plan: Plan,
    metrics: Sequence[str],
    found: Sequence[Measured],
    exhibits: Sequence[Exhibit],
) -> dict[str, Any]:
    command = report.command_line("benchmarks", ["sequence", *argv])
    synthetic = options.data is None
    notes = [
        f"{len(clip)} frames of {clip.width}x{clip.height}; rates over all of them at {RATE_HZ:g} Hz, "
        f"1 kb = 1000 bits; quality on {'every frame' if options.every == 1 else f'one frame in {options.every}'}",
        "ours is charged for whole packets, the others for frame data without headers of the session",
    ]
    if len(metrics) < len(METRICS):
        left_out = [METRICS[key].label for key in METRICS if key not in metrics]
        notes.append(f"not measured (--metrics): {', '.join(left_out)}")
    return {
        "schema": SCHEMA,
        **report.describe_run(command, SYNTHETIC_SEED if synthetic else None),
        "data": clip.name,
        "frames": len(clip),
        "height": clip.height,
        "width": clip.width,
        "rate_hz": RATE_HZ,
        "every": options.every,
        "bundle": bundle,
        "device": device,
        "metrics": list(metrics),
        "codecs": {codec.name: {"label": codec.label, **codec.facts()} for codec in plan.rivals},
        "notes": notes,
        "tracks": [m.as_dict() for m in found],
        "comparisons": comparisons(found, metrics, plan.opponents()),
        "showcase": {"budget_kbps": options.budget, "exhibits": [e.as_dict() for e in exhibits]},
    }


def _write(
    options: argparse.Namespace,
    document: dict[str, Any],
    found: Sequence[Measured],
    exhibits: Sequence[Exhibit],
    metrics: Sequence[str],
    plan: Plan,
) -> None:
    path = options.json or options.out / "sequence.json"
    write_json(path, document)
    title = f"{document['data']}, {document['frames']} frames of {document['width']}x{document['height']}"
    rivals = [codec.name for codec in plan.rivals]
    written = [path, *plots.draw_rates(found, metrics, rivals, title, options.out)]
    written.append(plots.draw_time(exhibits, metrics[0], options.out / "over-time.png"))
    if not options.no_video:
        written.append(options.out / "sequence.mp4")
    for each in written:
        print(f"wrote {each}", file=sys.stderr)


def _device(name: str) -> str:
    """Return the torch device of the decoder and the metric networks."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sequence", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="one drive of a stereo dataset (default: a synthetic street)")
    add("--size", help="HEIGHTxWIDTH of the synthetic street (default 375x1242)")
    add(
        "--frames",
        type=int,
        metavar="N",
        help="the first N frames (default: all; 40 of the synthetic street)",
    )
    add("--every", type=int, default=1, metavar="N", help="judge every N-th frame; all are coded and counted")
    add("--qualities", default=DEFAULT_QUALITIES, help="of ours, or `all` (default %(default)s)")
    add(
        "--sides",
        default=DEFAULT_SIDES,
        help="AV1 settings of the side view for ours, CODEC:SETTING for other codecs (default %(default)s)",
    )
    add("--codecs", default=",".join(CODECS), help="rivals on both cameras (default %(default)s)")
    add("--metrics", default=",".join(METRICS), help="comma-separated (default %(default)s)")
    add(
        "--budget",
        type=float,
        default=128.0,
        metavar="KBPS",
        help="total rate whose best point of ours is watched over time and shown (default %(default)g)",
    )
    add("--watch", type=int, metavar="N", help="watch the first N frames only (default: all)")
    add("--temporal", action="store_true", help="watch ours mended over time (cloud.temporal), too")
    add("--no-video", action="store_true", help="write no MP4")
    add("--out", type=Path, default=Path("out/sequence"), metavar="DIR", help="default %(default)s")
    add(
        "--json", type=Path, metavar="FILE", help="where everything measured goes (default DIR/sequence.json)"
    )
    add("--bundle", help="name or path of the bundle")
    add("--steps", type=int, help="denoising steps (default: the bundle's)")
    add("--weights", type=Path, help="folder of the metric networks' weights (default: $MDIC_METRIC_WEIGHTS)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the decoder and the metrics")
    return parser
