"""`python -m benchmarks robust`: lossy, stale and wrong side views, steps, thresholds, captions, another domain.

Protocol 128x256 throughout. Every sweep decodes the same packets; only what stands beside them changes. A run cut short
goes on where it stopped when it is started again with the same settings.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.rd.metrics import METRICS, Judge, parse_metrics
from benchmarks.rd.ours import parse_qualities
from benchmarks.robust import masks, plots, tables
from benchmarks.robust.bars import METRIC, bars
from benchmarks.robust.probe import Probe
from benchmarks.robust.scenes import Place, choose, open_folder, open_streets
from benchmarks.robust.store import Row, Store
from benchmarks.robust.sweeps import SWEEPS, Condition, Sweep, World
from common.errors import UsageError

MASKS = "masks"
STREETS = 4
MASK_PICTURES = 4
_MASK_STREETS = 2
_DEFAULT_METRICS = "lpips_vgg,dists,psnr,ms_ssim_db"
_ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str]) -> int:
    """Run the sweeps; tables and bars go to stdout, the files to --out."""
    options = _parser().parse_args(argv)
    names = parse_only(options.only)
    metrics = parse_metrics(options.metrics)
    probe, bundle = Probe.load(options.bundle, options.device)
    qualities = parse_qualities(
        options.qualities or default_qualities(bundle["qualities"]), bundle["qualities"]
    )
    world = open_world(options, foreign="domain" in names)
    path = options.json or options.out / "robust.json"
    fingerprint = {
        "bundle": bundle["id"],
        "decoder": code_digest(_ROOT),
        "data": data_name(options),
        "places": [place.name for place in world.places],
        "streets": options.streets,
        "qualities": list(qualities),
        "metrics": list(metrics),
    }
    store = Store(path, fingerprint)
    notes = _notes(options, world, bundle, probe, names, metrics)
    about = report.describe_run(report.command_line("benchmarks", ["robust", *argv])) | {
        "complete": False,
        "protocol": "128x256",
        "bundle": bundle,
        "pairs": len(world.places),
        "notes": notes,
    }
    selected = [
        SWEEPS[name]
        for name in names
        if name in SWEEPS and not (name == "captions" and not probe.takes_captions)
    ]
    judge = Judge(metrics, options.weights, _device(options.device))
    run(store, selected, world, probe, judge, qualities, about)
    found = bars(store)
    about |= {"complete": True, "bars": [asdict(bar) for bar in found]}
    store.save(about)
    written = [path]
    for sweep in selected:
        drawn = plots.draw(store, sweep, metrics, options.out / f"{sweep.name}.png")
        written += [drawn] if drawn is not None else []
    if MASKS in names:
        written += draw_masks(options, world, probe, qualities[-1])
    print(
        f"Protocol 128x256, {len(world.places)} pairs of {data_name(options)}, bundle {bundle['name']} {bundle['id']}\n"
    )
    for sweep in selected:
        print(tables.table(store, sweep, metrics) + "\n")
    print(tables.bars_text(found))
    for note in notes:
        print(f"\nNote: {note}.")
    for file in written:
        print(f"wrote {file}", file=sys.stderr)
    return 0


def run(
    store: Store,
    selected: Sequence[Sweep],
    world: World,
    probe: Probe,
    judge: Judge,
    qualities: Sequence[int],
    about: dict[str, Any],
) -> None:
    """Measure every sweep at every place that the store does not have yet, saving after each."""
    todo = [(sweep, place) for sweep in selected for place in sweep.places(world)]
    with tqdm(total=len(todo), unit="pair", desc="robust", disable=None) as bar:
        for sweep, place in todo:
            bar.set_postfix_str(f"{sweep.name} {place.name}", refresh=False)
            if not store.has(sweep.name, place.name):
                rows = measure(place, sweep.make(world, place), probe, judge, qualities)
                store.add(sweep.name, place.name, rows)
                store.save(about)
            bar.update()


def measure(
    place: Place, conditions: Sequence[Condition], probe: Probe, judge: Judge, qualities: Sequence[int]
) -> list[Row]:
    """Return a row for every condition and quality; controls have the same picture at every quality."""
    if not conditions:
        return []
    main = place.main
    shape, pixels = (main.shape[0], main.shape[1]), main.shape[0] * main.shape[1]
    packets = {quality: probe.packet(main, quality) for quality in qualities}
    rows: list[Row] = []
    pictures = []
    for c in conditions:
        for quality in qualities:
            size, mask = c.control_bytes, None
            if c.picture is None:
                frame = probe.decode(
                    packets[quality], shape, c.side, c.steps, c.threshold, c.caption, c.lossy
                )
                size, mask = len(packets[quality]), float(frame.mask.mean())
            pictures.append(frame.image if c.picture is None else c.picture)
            row: Row = {"condition": c.key, "label": c.label, "quality": quality}
            row |= {"bytes": size, "bpp": size * 8 / pixels}
            if c.side_bytes is not None:
                row |= {"side_bytes": c.side_bytes, "side_bpp": c.side_bytes * 8 / pixels}
                row["total_bytes"] = size + c.side_bytes
            row |= {} if mask is None else {"mask_mean": mask}
            row |= {} if c.x is None else {"x": c.x}
            rows.append(row | c.extra)
    for row, values in zip(rows, judge.measure(main, pictures), strict=True):
        row.update(values)
    return rows


def open_world(options: argparse.Namespace, foreign: bool) -> World:
    """Open the data, or synthetic streets where none is named."""
    streets = options.data is None
    scenes = open_streets(options.streets) if streets else open_folder(options.data, options.sequences)
    places = choose(scenes, options.every, options.limit)
    return World(places, scenes, _foreign(options) if foreign else ())


def _foreign(options: argparse.Namespace) -> list[Place]:
    """Return places of another domain: streets and a wide camera for real data, the wide camera for streets."""
    count = max(1, options.streets // 2)
    scenes = open_streets(count, wide=True)
    if options.data is not None:
        scenes = open_streets(count) + scenes
    return choose(scenes, 1, None)


def draw_masks(options: argparse.Namespace, world: World, probe: Probe, quality: int) -> list[Path]:
    """Write `masks.png` of the data and `masks-synthetic.png`; the second holds no picture of the data."""
    step = max(1, len(world.places) // MASK_PICTURES)
    own = world.places[::step][:MASK_PICTURES]
    if options.data is None:
        return [masks.draw(world, own, probe, quality, options.out / "masks-synthetic.png")]
    scenes = open_streets(_MASK_STREETS)
    streets = World(choose(scenes, 1, None), scenes)
    return [
        masks.draw(world, own, probe, quality, options.out / "masks.png"),
        masks.draw(streets, streets.places, probe, quality, options.out / "masks-synthetic.png"),
    ]


def parse_only(text: str | None) -> list[str]:
    """Read `--only`: names of sweeps, comma-separated; the references always run.

    Raises:
        UsageError: an unknown name.
    """
    known = [*SWEEPS, MASKS]
    if text is None:
        return known
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise UsageError(f"--only {text!r}: unknown {unknown or 'nothing'} (known: {', '.join(known)})")
    return [name for name in known if name in wanted or (name == "base" and wanted != [MASKS])]


def default_qualities(available: int) -> str:
    """Return a low and a middle quality index of a bundle: 2 and 5 of eight."""
    return ",".join(str(q) for q in sorted({available // 4, available * 5 // 8}))


def data_name(options: argparse.Namespace) -> str:
    """Return what the pictures are called in reports; no path."""
    return "synthetic streets" if options.data is None else options.data.resolve().name


def code_digest(root: Path) -> str:
    """Return 16 digits that change with the code that decodes: old rows must not stand beside new ones."""
    files = [root / "cloud" / "decoder.py"]
    files += [root / "benchmarks" / "robust" / name for name in ("scenes.py", "sidecodecs.py", "sweeps.py")]
    for folder in ("cloud/models", "cloud/diffusion", "cloud/restoration", "cloud/text"):
        files += sorted((root / folder).rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _notes(
    options: argparse.Namespace,
    world: World,
    bundle: dict[str, Any],
    probe: Probe,
    names: Sequence[str],
    metrics: Sequence[str],
) -> list[str]:
    said = []
    if "captions" in names and not probe.takes_captions:
        said.append("captions: skipped, this decoder's requests carry no caption")
    if "stale" in names and not any(scene.sequence for scene in world.scenes):
        said.append(
            "stale: the data holds no sequence (--sequences names them where their folders' names do not tell)"
        )
    if "domain" in names:
        kinds = "a wide camera" if options.data is None else "synthetic streets and a wide camera"
        told = bundle["trained_on"] or "there is none"
        said.append(
            f"domain: {kinds}, unseen streets; what the bundle was trained on, by its own note: {told}"
        )
    if METRIC not in metrics:
        said.append(f"the bars need {METRICS[METRIC].label}, which was not measured (--metrics)")
    if options.every > 1 or options.limit is not None:
        limit = "" if options.limit is None else f", --limit {options.limit}"
        said.append(f"{len(world.places)} of the data's pairs (--every {options.every}{limit})")
    return said


def _device(name: str) -> str:
    import torch

    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks robust", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="a stereo dataset, or a folder of several (default: synthetic streets)")
    add("--only", help=f"these sweeps, comma-separated (default: {','.join([*SWEEPS, MASKS])})")
    add("--qualities", help="quality indices of ours, such as 2,5 (default: a low and a middle one)")
    add("--every", type=int, default=1, help="take every n-th pair")
    add("--limit", type=int, help="at most so many pairs (after --every)")
    add("--sequences", help="which datasets are sequences: names, `all` or `none` (default: by their names)")
    add("--streets", type=int, default=STREETS, help=f"synthetic streets (default {STREETS})")
    add("--out", type=Path, default=Path("out/robust"), help="folder of the plots (default out/robust)")
    add("--json", type=Path, help="where the rows are kept, and taken up again (default OUT/robust.json)")
    add("--bundle", help="name or path of the bundle")
    add("--metrics", default=_DEFAULT_METRICS, help=f"comma-separated, default {_DEFAULT_METRICS}")
    add("--weights", type=Path, help="folder of the metric networks' weights (default: $MDIC_METRIC_WEIGHTS)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where decoder and metrics run")
    return parser
