"""`python -m benchmarks all` (`make bench`): every benchmark, each result kept, finished ones not run again.

A part is one command with its sampling (`benchmarks/parts.py`). It runs as a process of its own and writes to OUT; its
JSON moves to RESULTS only when it is whole, so a run cut short never leaves half a result there. The ledger,
RESULTS/bench.json, says of each part with which command, bundle and commit it was made and how long it took; the same
command goes on where it was stopped. A part whose data, module or packages are not at hand is skipped with a line.

Parts that time nothing run in lanes, side by side, each with its share of the cores: much of their work keeps one core
busy only. Those that time something run alone, afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks import report
from benchmarks.ledger import LEDGER, Ledger, bundle_id
from benchmarks.parts import PARTS, ROOT, Part, at_root, pick, why_not
from common.errors import MissingDependency, UsageError

RESULTS = Path("benchmarks/results")
OUT = Path("out/bench")
MEASURED = (0, report.MISSED)
"""Exit codes of a part whose result counts, a poor one too."""
_LANES = 2
_SAID = 20
"""Lines of its own words that are shown of a part that failed."""


def main(argv: list[str]) -> int:
    """Run what is not finished, then write the documents' tables and print the targets; 1 if a part failed."""
    options = _parser().parse_args(argv)
    if options.lanes < 1:
        raise UsageError(f"--lanes must be at least 1, got {options.lanes}")
    parts, results, out = pick(options.only), at_root(options.results), options.out
    if options.list:
        for part in parts:
            print(f"{part.name:<20} {part.minutes:5.1f} min  python -m benchmarks {part.command}")
        return 0
    ledger = Ledger.read(results / LEDGER)
    bundle = bundle_id()
    todo: list[Part] = []
    for part in parts:
        why = why_not(part)
        if why:
            _say(f"{part.name}: skipped, {why}")
        elif not options.fresh and ledger.holds(part, bundle, results, out):
            made = ledger.parts[part.name]
            _say(f"{part.name}: finished before ({made['date']}, {made['minutes']:.1f} min), kept")
        else:
            forget_draft(part, bundle, out, options.fresh)
            todo.append(part)
    failed = []
    started = time.monotonic()
    with contextlib.closing(run_parts(todo, results, out, options.lanes)) as outcomes:
        for part, outcome in outcomes:
            if outcome.code in MEASURED:
                ledger.enter(part, bundle, results, out, outcome.minutes, outcome.lanes)
                if outcome.code == report.MISSED:
                    _say(f"{part.name}: measured; this machine did not reach what it asks for")
            elif outcome.code == MissingDependency.exit_code:
                _say(f"{part.name}: skipped, a package or its weights are not at hand")
            else:
                failed.append(f"{part.name} (exit code {outcome.code})")
            if outcome.said:
                _say(outcome.said)
    if todo == list(PARTS) and all(part.name in ledger.parts for part in PARTS) and not failed:
        ledger.whole = (time.monotonic() - started) / 60
        ledger.write()
    if not options.no_tables:
        from benchmarks import bars, tables

        tables.main(["--results", str(results)])
        bars.main(["--results", str(results)])
    if failed:
        _say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


@dataclass(frozen=True)
class Outcome:
    """Hold how a part's process ended: its exit code, its time, how many lanes there were, its last words."""

    code: int
    minutes: float
    lanes: int = 1
    said: str = ""


def run_parts(parts: list[Part], results: Path, out: Path, lanes: int) -> Generator[tuple[Part, Outcome]]:
    """Run parts and yield each with its outcome as it ends: in lanes, the longest first, then the lonely ones alone."""
    cores = cores_here()
    lanes = min(lanes, cores)
    together = sorted((part for part in parts if not part.alone), key=lambda part: -part.minutes)
    alone = [part for part in parts if part.alone]
    if lanes == 1 or len(together) == 1:
        together, alone = [], together + alone
    shape = "{desc} {percentage:3.0f}%|{bar}| {n:.0f} of about {total:.0f} min [{elapsed}]"
    total = sum(part.minutes for part in parts)
    with tqdm(total=total, unit="min", desc="bench", disable=None, bar_format=shape) as bar:
        yield from _side_by_side(together, results, out, lanes, cores // lanes, bar)
        for part in alone:
            _say(f"{part.name}: about {part.minutes:g} min")
            outcome = run_part(part, results, out)
            bar.update(part.minutes)
            yield part, outcome


def _side_by_side(
    parts: list[Part], results: Path, out: Path, lanes: int, threads: int, bar: tqdm[None]
) -> Iterator[tuple[Part, Outcome]]:
    begun: dict[str, float] = {}

    def go(part: Part) -> Outcome:
        _say(f"{part.name}: about {part.minutes * lanes:g} min in one of {lanes} lanes")
        begun[part.name] = time.monotonic()
        return run_part(part, results, out, lanes, threads)

    pool = ThreadPoolExecutor(lanes)
    try:
        running: dict[Future[Outcome], Part] = {pool.submit(go, part): part for part in parts}
        finished = 0.0
        while running:
            done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                part = running.pop(future)
                finished += part.minutes
                yield part, future.result()
            # What is under way counts for what it has taken, as long as that can be.
            under_way = sum(
                min(0.95 * part.minutes, (time.monotonic() - begun[part.name]) / 60 / lanes)
                for part in running.values()
                if part.name in begun
            )
            bar.n = max(bar.n, finished + under_way)
            bar.refresh()
    finally:
        pool.shutdown(cancel_futures=True)


def cores_here() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_part(part: Part, results: Path, out: Path, lanes: int = 1, threads: int | None = None) -> Outcome:
    """Run one part as a process and, when it ends well, move its JSON, its text and its plots to `results`.

    What it prints is kept as RESULTS/NAME.md: every benchmark prints Markdown. Alone it has the terminal for its
    progress; in a lane that goes to OUT/NAME.log.

    Args:
        part: what to run.
        results: where its result goes.
        out: where it works.
        lanes: among how many parts the machine is shared.
        threads: how many of its cores the part may use; None for all.
    """
    here = out / part.name
    at_root(here).mkdir(parents=True, exist_ok=True)
    draft = out / f"{part.name}.json"
    log = at_root(out / f"{part.name}.log")
    words = [sys.executable, "-m", "benchmarks", *part.arguments(draft, here)]
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    started = time.monotonic()
    with log.open("w") if lanes > 1 else contextlib.nullcontext() as errors:
        done = subprocess.run(
            words,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
            env=os.environ | limits,
        )
    minutes = (time.monotonic() - started) / 60
    if done.returncode in MEASURED:
        results.mkdir(parents=True, exist_ok=True)
        made = here / part.result if part.result else draft
        shutil.copyfile(at_root(made), results / f"{part.name}.json")
        (results / f"{part.name}.md").write_text(done.stdout, encoding="utf-8")
        for name in part.pictures:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(at_root(here / name), results / f"{part.name}-{name}")
    said = "" if errors is None or done.returncode in MEASURED else _end_of(log)
    return Outcome(done.returncode, minutes, lanes, said)


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return "\n".join(lines[-_SAID:])


def forget_draft(part: Part, bundle: str | None, out: Path, fresh: bool) -> None:
    """Delete what an earlier run left half done, where it was made with another bundle (or `fresh`).

    Some benchmarks go on from their own file, and rightly refuse one of another bundle.
    """
    draft = at_root(out / f"{part.name}.json")
    if not draft.is_file():
        return
    try:
        held = json.loads(draft.read_text(encoding="utf-8"))["bundle"]["id"]
    except (OSError, ValueError, KeyError, TypeError):
        held = None
    if fresh or held != bundle:
        draft.unlink()


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
    add(
        "--lanes",
        type=int,
        default=_LANES,
        help="parts that run side by side (default %(default)s; never the timed ones)",
    )
    add("--no-tables", action="store_true", help="leave the documents as they are, print no targets")
    return parser
