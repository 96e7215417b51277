"""`python -m benchmarks all` (`make bench`): every benchmark in turn, each result kept, finished ones not run again.

A part is one command with its sampling. It runs as a process of its own and writes to OUT; its JSON moves to RESULTS
only when it is whole, so a run cut short never leaves half a result there. The ledger, RESULTS/bench.json, says of
each part with which command, bundle and commit it was made and how long it took; the same command goes on where it
was stopped. A part whose data, module or packages are not at hand is skipped with a line.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.rd.results import write_json
from common.errors import MissingDependency, UsageError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path("benchmarks/results")
OUT = Path("out/bench")
LEDGER = "bench.json"
MINUTES_ALLOWED = 60.0
JSON_PLACE, OUT_PLACE = "{json}", "{out}"


@dataclass(frozen=True)
class Part:
    """Describe one command of the whole.

    Attributes:
        name: of the result file.
        command: of `python -m benchmarks`.
        options: its arguments; `{json}`, `{out}` and `$VARIABLE/...` are filled in.
        minutes: what it takes on two cores, roughly: the progress bar's measure.
        result: where the command leaves its JSON, inside its `{out}`; empty where it takes `{json}`.
        pictures: files of `{out}` kept beside the result as NAME-FILE; never any that show data set pictures.
        restores: it decodes with lossy side views, so its result is one of the restorer too.
    """

    name: str
    command: str
    options: tuple[str, ...]
    minutes: float
    result: str = ""
    pictures: tuple[str, ...] = ()
    restores: bool = False

    @property
    def variables(self) -> list[str]:
        """Return the environment variables that must name a folder."""
        return sorted({word[1:].partition("/")[0] for word in self.options if word.startswith("$")})

    def arguments(self, json_path: Path, out: Path) -> list[str]:
        """Return the command's arguments with every place filled in."""
        words = [
            word.replace(JSON_PLACE, str(json_path)).replace(OUT_PLACE, str(out)) for word in self.options
        ]
        return [self.command, *(_expanded(word) for word in words)]


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


_TEST, _DRIVE = "$MDIC_DATA/test", "$MDIC_DATA/test/seq_drive0009"
_FILES = ("--json", JSON_PLACE, "--out", OUT_PLACE)
# Full-size pictures cost about 6 s each in LPIPS-VGG and DISTS on two cores, small ones 0.4 s: all pairs at 128x256,
# every ninth at full size (two of the stills' scenes and four of the drive), single qualities where a comparison needs
# no more.
PARTS = (
    Part(
        "rd-128x256",
        "rd",
        ("--data", _TEST, "--protocol", "128x256", "--codecs", "mdic,mdic-noside,av1", *_FILES),
        10,
    ),
    Part("rd-128x256-all", "rd", ("--data", _TEST, "--protocol", "128x256", "--every", "9", *_FILES), 2),
    Part(
        "rd-128x256-jpeg50",
        "rd",
        (*_words(f"--data {_TEST} --protocol 128x256 --every 6 --side jpeg:50 --codecs mdic"), *_FILES),
        1.5,
        restores=True,
    ),
    Part(
        "rd-full",
        "rd",
        ("--data", _TEST, "--protocol", "full", "--every", "9", "--codecs", "mdic,mdic-noside,av1", *_FILES),
        13,
    ),
    Part(
        "geometry",
        "geometry",
        ("--data", _TEST, "--every", "3", "--qualities", "0,1,2,3,4,5", "--ceilings", "--json", JSON_PLACE),
        3,
    ),
    Part(
        "geometry-jpeg50",
        "geometry",
        _words(f"--data {_TEST} --every 9 --side jpeg:50 --qualities 0,4,5 --ceilings --json {JSON_PLACE}"),
        0.7,
        restores=True,
    ),
    Part(
        "geometry-full",
        "geometry",
        _words(f"--data {_TEST} --protocol full --every 18 --qualities 0,3,5 --json {JSON_PLACE}"),
        2,
    ),
    Part("encode", "encode", ("--size", "375x1242", "--repeat", "40", "--json", JSON_PLACE), 0.2),
    Part("demo", "demo", ("--out", OUT_PLACE), 2, result="demo.json"),
    Part(
        "sequence",
        "sequence",
        (
            *_words(
                f"--data {_DRIVE} --every 20 --metrics lpips_vgg,psnr --qualities 0,2"
                " --sides av1-half:70,av1-half:67,av1-half:64,70,62 --no-video --watch 21"
            ),
            *_FILES,
        ),
        9,
        pictures=("lpips_vgg.png", "over-time.png"),
        restores=True,
    ),
    Part(
        "robust",
        "robust",
        ("--data", _TEST, "--every", "6", *_FILES),
        11,
        pictures=("side.png", "stale.png", "wrong.png"),
        restores=True,
    ),
    Part(
        "downstream",
        "downstream",
        ("--data", _TEST, "--every", "9", *_FILES),
        3.5,
        pictures=("downstream.png",),
    ),
    Part("telemetry", "telemetry", ("--data", _DRIVE, "--json", JSON_PLACE), 0.2),
    Part("soak", "soak", ("--frames", "200000", "--json", JSON_PLACE), 0.8),
    Part("gateway", "gateway", ("--vehicles", "200", "--json", JSON_PLACE), 0.5),
    Part("gpu-decode-small", "gpu-decode", ("--small", "--json", JSON_PLACE), 0.2),
)


def main(argv: list[str]) -> int:
    """Run what is not finished, then write the documents' tables and print the targets; 1 if a part failed."""
    options = _parser().parse_args(argv)
    parts, results, out = pick(options.only), _at_root(options.results), options.out
    if options.list:
        for part in parts:
            print(f"{part.name:<20} {part.minutes:5.1f} min  python -m benchmarks {part.command}")
        return 0
    ledger = Ledger.read(results / LEDGER)
    bundle = _bundle_id()
    failed = []
    total = sum(part.minutes for part in parts)
    shape = "{desc} {percentage:3.0f}%|{bar}| {n:.0f} of about {total:.0f} min [{elapsed}]"
    with tqdm(total=total, unit="min", desc="bench", disable=None, bar_format=shape) as bar:
        for number, part in enumerate(parts, 1):
            place = f"[{number}/{len(parts)}] {part.name}"
            why = why_not(part)
            if why:
                _say(f"{place}: skipped, {why}")
            elif not options.fresh and ledger.holds(part, bundle, results, out):
                made = ledger.parts[part.name]
                _say(f"{place}: finished before ({made['date']}, {made['minutes']:.1f} min), kept")
            else:
                _say(f"{place}: about {part.minutes:g} min")
                forget_draft(part, bundle, out, options.fresh)
                outcome = run_part(part, results, out)
                if outcome.code == 0:
                    ledger.enter(part, bundle, results, out, outcome.minutes)
                elif outcome.code == MissingDependency.exit_code:
                    _say(f"{place}: skipped, a package or its weights are not at hand (see the line above)")
                else:
                    failed.append(f"{part.name} (exit code {outcome.code})")
            bar.update(part.minutes)
    if not options.no_tables:
        from benchmarks import bars, tables

        tables.main(["--results", str(results)])
        bars.main(["--results", str(results)])
    if failed:
        _say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


@dataclass(frozen=True)
class Outcome:
    """Hold how a part's process ended."""

    code: int
    minutes: float


def run_part(part: Part, results: Path, out: Path) -> Outcome:
    """Run one part as a process and, when it ends well, move its JSON, its text and its plots to `results`.

    What it prints is kept as RESULTS/NAME.md: every benchmark prints Markdown.
    """
    here = out / part.name
    _at_root(here).mkdir(parents=True, exist_ok=True)
    draft = out / f"{part.name}.json"
    words = part.arguments(draft, here)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    minutes = (time.monotonic() - started) / 60
    if done.returncode == 0:
        results.mkdir(parents=True, exist_ok=True)
        made = here / part.result if part.result else draft
        shutil.copyfile(_at_root(made), results / f"{part.name}.json")
        (results / f"{part.name}.md").write_text(done.stdout, encoding="utf-8")
        for name in part.pictures:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(_at_root(here / name), results / f"{part.name}-{name}")
    return Outcome(done.returncode, minutes)


def forget_draft(part: Part, bundle: str | None, out: Path, fresh: bool) -> None:
    """Delete what an earlier run left half done, where it was made with another bundle (or `fresh`).

    Some benchmarks go on from their own file, and rightly refuse one of another bundle.
    """
    draft = _at_root(out / f"{part.name}.json")
    if not draft.is_file():
        return
    try:
        held = json.loads(draft.read_text(encoding="utf-8"))["bundle"]["id"]
    except (OSError, ValueError, KeyError, TypeError):
        held = None
    if fresh or held != bundle:
        draft.unlink()


class Ledger:
    """Remember which part was made how."""

    def __init__(self, path: Path, parts: dict[str, dict[str, Any]]) -> None:
        """Take what the file at `path` says."""
        self.path, self.parts = path, parts

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Return the ledger of a results folder, an empty one where there is none or it is damaged."""
        try:
            parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        except (OSError, ValueError, KeyError, TypeError):
            parts = {}
        return cls(path, parts)

    def holds(self, part: Part, bundle: str | None, results: Path, out: Path) -> bool:
        """Tell whether a part is finished: same command, same bundle (and restorer), its result as it was left."""
        made = self.parts.get(part.name)
        file = results / f"{part.name}.json"
        return (
            made is not None
            and made.get("command") == _command(part, out)
            and made.get("bundle") == bundle
            and (not part.restores or made.get("restorer") == _restorer_id())
            and file.is_file()
            and made.get("sha256") == _sha256(file)
        )

    def enter(self, part: Part, bundle: str | None, results: Path, out: Path, minutes: float) -> None:
        """Note a part that has just been finished, and write the file."""
        about = report.describe_run([])
        self.parts[part.name] = {
            "command": _command(part, out),
            "bundle": bundle,
            **({"restorer": _restorer_id()} if part.restores else {}),
            "commit": about["commit"],
            "cores": about["machine"]["cores"],
            "date": about["date"],
            "minutes": round(minutes, 2),
            "sha256": _sha256(results / f"{part.name}.json"),
        }
        names = [p.name for p in PARTS if p.name in self.parts]
        ordered = {name: self.parts[name] for name in names}
        total = round(sum(entry["minutes"] for entry in ordered.values()), 2)
        write_json(self.path, {"schema": 1, "minutes": total, "parts": ordered})


def why_not(part: Part) -> str:
    """Return why a part cannot be run here, "" when it can."""
    from benchmarks.__main__ import COMMANDS, is_there

    if not is_there(COMMANDS[part.command][0]):
        return f"`python -m benchmarks {part.command}` is not in this checkout"
    for variable in part.variables:
        folder = os.environ.get(variable)
        if not folder:
            return f"{variable} is not set (README, 'Real data')"
    missing = [word for word in part.options if word.startswith("$") and not Path(_expanded(word)).exists()]
    return f"{missing[0]} is not there" if missing else ""


def pick(only: str | None) -> list[Part]:
    """Return the parts named, or all.

    Raises:
        UsageError: an unknown name.
    """
    if only is None:
        return list(PARTS)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(names) - {part.name for part in PARTS})
    if unknown or not names:
        known = ", ".join(part.name for part in PARTS)
        raise UsageError(f"--only {only!r}: unknown {', '.join(unknown) or 'nothing'} (known: {known})")
    return [part for part in PARTS if part.name in names]


def _command(part: Part, out: Path) -> str:
    words = part.arguments(out / f"{part.name}.json", out / part.name)
    return report.command_text(report.command_line("benchmarks", words))


def _restorer_id() -> str:
    """Return the beginning of the hash of the restorer, weights and code: it stands beside the bundles, not in them."""
    folder = ROOT / "cloud" / "restoration"
    parts = (folder / "weights" / "restorer.safetensors", folder / "network.py", folder / "gauge.py")
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()[:16]


def _bundle_id() -> str | None:
    """Return the default bundle's id: results of another one are not this project's results any more."""
    from common.bundle import Bundle
    from common.errors import BundleError

    try:
        return Bundle.load().hex
    except BundleError:
        return None


def _expanded(word: str) -> str:
    variable, slash, rest = word[1:].partition("/")
    if not word.startswith("$") or variable not in os.environ:
        return word
    return os.environ[variable].rstrip("/") + slash + rest


def _at_root(path: Path) -> Path:
    return path if path.is_absolute() else ROOT / path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks all",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", help="comma-separated names of parts (default: all; --list shows them)")
    add("--fresh", action="store_true", help="run finished parts again, too")
    add("--list", action="store_true", help="list the parts and stop")
    add("--results", type=Path, default=RESULTS, help=f"where finished results go (default {RESULTS})")
    add("--out", type=Path, default=OUT, help=f"where parts work, with plots and sheets (default {OUT})")
    add("--no-tables", action="store_true", help="leave the documents as they are, print no targets")
    return parser
