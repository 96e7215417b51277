"""`python -m benchmarks fuzz`: run every fuzz target of tests/fuzz and write what came of it.

Guided by coverage where atheris is installed (`pip install '.[fuzz]'`), else random changes of the seeds, which
is said in one line and in the result. Exit code 1 when a target crashed: its input is kept in out/fuzz/TARGET.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.rd.results import write_json
from common.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("bitstream", "messages", "imageheader", "manifest")
RESULT = ROOT / "benchmarks" / "results" / "fuzz.json"
PLAIN_RUNS = 20_000
"""Inputs a target when neither time nor number is asked for and nothing guides the search."""
_EDGES = re.compile(r"\bcov: (\d+)")
_UNITS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_SLACK_S = 120


def main(argv: list[str]) -> int:
    """Run the targets; a table goes to stdout."""
    options = _parser().parse_args(argv)
    if options.seconds < 0 or options.runs < 0 or options.jobs < 1:
        raise UsageError("--seconds and --runs must not be below 0, --jobs not below 1")
    names = options.only.split(",") if options.only else list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        raise UsageError(f"--only {sorted(unknown)[0]!r} is none of {', '.join(TARGETS)}")
    guided = not options.plain and importlib.util.find_spec("atheris") is not None
    if not guided and not options.plain:
        print(
            "atheris is not installed (wheels: Linux x86_64, Python 3.11 and newer): random changes of the "
            "seeds instead, without coverage",
            file=sys.stderr,
        )
    if not options.seconds and not options.runs:
        options.runs = PLAIN_RUNS
    with ThreadPoolExecutor(options.jobs) as pool:
        targets = list(pool.map(lambda name: run_target(name, options, guided), names))
    document = report.describe_run(report.command_line("benchmarks", ["fuzz", *argv]), options.seed) | {
        "mutator": "atheris (libFuzzer, guided by coverage)" if guided else "plain (seeded random, unguided)",
        "atheris": report.versions(["atheris"])["atheris"] if guided else None,
        "targets": dict(zip(names, targets, strict=True)),
    }
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return int(any(target["crashes"] for target in targets))


def run_target(name: str, options: argparse.Namespace, guided: bool) -> dict[str, Any]:
    """Run one target in a process of its own and return its counts."""
    out = Path(options.out) / name
    out.mkdir(parents=True, exist_ok=True)
    before = crashes(out)
    with tempfile.TemporaryDirectory() as scratch:
        stats = Path(scratch) / "stats.json"
        command = [sys.executable, str(ROOT / "tests" / "fuzz" / f"fuzz_{name}.py"), "--out", str(out)]
        command += ["--seconds", str(options.seconds), "--runs", str(options.runs)]
        command += ["--seed", str(options.seed), "--stats", str(stats), *([] if guided else ["--plain"])]
        began = time.monotonic()
        log = out / "log.txt"
        with log.open("w", encoding="utf-8") as file:
            # One thread: the matrices are tiny, and a second one would wait for the first.
            code = subprocess.run(
                command,
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                timeout=options.seconds + _SLACK_S if options.seconds else None,
                check=False,
            ).returncode
        took_s = time.monotonic() - began
        counts = json.loads(stats.read_text()) if stats.is_file() else {}
    text = log.read_text("utf-8", errors="replace")
    new = sorted(crashes(out) - before)
    if code and not new:
        new = [f"exit code {code}: {text.strip().splitlines()[-1][:200] if text.strip() else 'no output'}"]
    return counts | read_log(text) | {"seconds": round(took_s, 1), "crashes": new}


def crashes(out: Path) -> set[str]:
    """Return the names of the inputs that a run kept because they broke something."""
    return {path.name for path in out.iterdir() if re.match(r"(crash|timeout|oom|leak|slow)-", path.name)}


def read_log(text: str) -> dict[str, int]:
    """Return executions and covered edges from libFuzzer's output; what it does not hold is left out."""
    found: dict[str, int] = {}
    if units := _UNITS.findall(text):
        found["executions"] = int(units[-1])
    if edges := _EDGES.findall(text):
        found["edges"] = int(edges[-1])
        found["edges_of_seeds"] = int(edges[0])
    return found


def table(document: dict[str, Any]) -> str:
    """Return the counts as a Markdown table."""
    lines = [
        f"Fuzz, {document['mutator']}",
        "",
        "| target | executions | accepted | edges | slowest ms | peak MiB | seconds | crashes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, t in document["targets"].items():
        row = [
            t.get(k, "–")
            for k in ("executions", "accepted", "edges", "slowest_ms", "peak_rss_mib", "seconds")
        ]
        lines.append(f"| {name} | {' | '.join(map(str, row))} | {len(t['crashes'])} |")
        lines += [f"\n{name}: {crash}" for crash in t["crashes"]]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=int, default=0, help="time for each target; 0: until --runs")
    add("--runs", type=int, default=0, help="inputs for each target; 0: until --seconds are over")
    add("--only", metavar="TARGET,...", help=f"of {', '.join(TARGETS)} (default: all)")
    add("--jobs", type=int, default=1, help="targets at the same time (default 1)")
    add("--seed", type=int, default=1)
    add("--plain", action="store_true", help="random changes of the seeds, even where atheris is installed")
    add(
        "--out",
        type=Path,
        default=ROOT / "out" / "fuzz",
        help="new inputs, logs and crashes (default out/fuzz)",
    )
    add("--json", type=Path, default=None, help=f"write the counts, such as {RESULT.relative_to(ROOT)}")
    return parser
