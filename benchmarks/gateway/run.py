"""`python -m benchmarks gateway`: how many live vehicles one server holds, and how late their acks come.

A real `mdic-cloud serve --engine null` in one process, the vehicles in one or more others on the same machine,
each with a TCP connection of its own, sending packets made beforehand at 10 Hz with jitter. The added latency
is the time from handing a frame to gRPC until its ack was read. `--search` finds the largest number of vehicles
that it holds: 99 % of latencies below the bound, every frame decoded, no less than 99 % of the rate asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.demo.processes import Cloud, last_lines
from benchmarks.gateway.proc import Usage, need_proc, usage
from benchmarks.gateway.search import largest_held
from benchmarks.rd.results import write_json
from common.errors import StreamError, UsageError
from common.stream.stats import percentile

ROOT = Path(__file__).resolve().parents[2]
BOUND_MS = 50.0
RATE_SHARE = 0.99
MOST_VEHICLES = 256
"""A server holds no more sessions (cloud/registry.py)."""
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Load:
    """Describe one load: vehicles, frames a second of each, generator processes, seconds, with side views or not."""

    vehicles: int
    hz: float
    processes: int
    warm_up_s: float
    seconds: float
    seed: int
    side: bool = False


def main(argv: list[str]) -> int:
    """Run the benchmark; a table goes to stdout. Exit code 3 when the load (or any load) is not held."""
    options = _parser().parse_args(argv)
    need_proc()
    if not 1 <= options.vehicles <= MOST_VEHICLES:
        raise UsageError(f"--vehicles {options.vehicles} is not in 1..{MOST_VEHICLES}")
    if options.hz <= 0 or options.seconds <= 0 or options.warm_up < 0 or options.processes < 1:
        raise UsageError("--hz and --seconds must be above 0, --warm-up not below 0, --processes not below 1")
    rounds: list[dict[str, Any]] = []

    def holds(vehicles: int) -> bool:
        processes = min(options.processes, vehicles)
        load = Load(
            vehicles, options.hz, processes, options.warm_up, options.seconds, options.seed, options.side
        )
        rounds.append(summary(load, *run_load(load, options.cloud_arg)))
        print(row(rounds[-1]), flush=True)
        return bool(rounds[-1]["held"])

    print(head(), flush=True)
    if options.search:
        largest = largest_held(holds, options.vehicles, MOST_VEHICLES, options.step)
    else:
        largest = options.vehicles if holds(options.vehicles) else 0
    document = report.describe_run(report.command_line("benchmarks", ["gateway", *argv]), options.seed) | {
        "packages": report.versions(["grpcio", "protobuf", "uvloop"]),
        "bound_ms": BOUND_MS,
        "hz": options.hz,
        "side_views": options.side,
        "largest_held": largest,
        "at_the_session_limit": largest == MOST_VEHICLES,
        "rounds": rounds,
    }
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(f"\nlargest load held: {largest} vehicles at {options.hz:g} Hz" if largest else "\nnot held")
    return 0 if largest else report.MISSED


def run_load(load: Load, cloud_arguments: Sequence[str] = ()) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Put one load on a fresh server; return what each generator measured, and what the server used.

    Raises:
        StreamError: the server or a generator failed.
    """
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        log = Path(scratch) / "cloud.log"
        # Main views alone come here: without this, pairing waits for side views that nobody has announced.
        arguments = ["--engine", "null", "--side-wait-ms", "0", "--json", *cloud_arguments]
        cloud = stack.enter_context(Cloud(arguments, ROOT, log))
        address = cloud.address()
        fleets = [stack.enter_context(_Fleet(address, load, index)) for index in range(load.processes)]
        for fleet in fleets:
            fleet.expect("ready")
        began = time.monotonic()
        for fleet in fleets:
            fleet.go()
        fleets[0].expect("measuring")
        before = _look(cloud.pid, log)
        fleets[0].expect("measured")
        after = _look(cloud.pid, log)
        results = [fleet.result() for fleet in fleets]
        server = {
            "cpu_s": round(after.cpu_s - before.cpu_s, 3),
            "rss_mib": after.rss_kib >> 10,
            "descriptors": after.descriptors,
            "threads": after.threads,
            "seconds": round(time.monotonic() - began, 1),
        }
        if cloud.stop() != 0:
            raise StreamError(f"the cloud ended with exit code {cloud.exit_code}: {last_lines(log)}")
    return results, server


def summary(load: Load, results: Sequence[dict[str, Any]], server: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of one load, and whether it was held."""
    latency = sorted(ms for result in results for ms in result["latency_ms"])
    late = sorted(ms for result in results for ms in result["late_ms"])
    statuses: Counter[str] = Counter()
    for result in results:
        statuses.update(result["statuses"])
    broken = [line for result in results for line in result["broken"]]
    sent = sum(result["sent"] for result in results)
    asked = load.vehicles * load.hz * load.seconds
    unanswered = sum(result["unanswered"] for result in results)
    everything = set(statuses) <= {"decoded"} and not unanswered and not broken
    p99 = percentile(latency, 0.99)
    return {
        "vehicles": load.vehicles,
        "processes": load.processes,
        "seconds": load.seconds,
        "frames": sent,
        "frames_a_second": round(sent / load.seconds, 1),
        "share_of_rate": round(sent / asked, 4),
        "latency_ms": {
            "p50": round(percentile(latency, 0.5), 2),
            "p95": round(percentile(latency, 0.95), 2),
            "p99": round(p99, 2),
            "max": round(latency[-1], 2) if latency else None,
        },
        "generator_late_ms": {
            "p50": round(percentile(late, 0.5), 2),
            "p99": round(percentile(late, 0.99), 2),
        },
        "statuses": dict(statuses),
        "unanswered": unanswered,
        "broken": broken[:5],
        "broken_in_all": len(broken),
        "server": server,
        "server_cores": round(server["cpu_s"] / load.seconds, 3),
        "generator_cores": round(sum(result["cpu_s"] for result in results) / load.seconds, 3),
        # Frames on the border of the measured time make the share of the rate a little more or less than one.
        "held": bool(latency)
        and p99 < BOUND_MS
        and everything
        and sent >= RATE_SHARE * asked - load.vehicles,
    }


def head() -> str:
    """Return the head of the table."""
    return (
        "| vehicles | frames/s | p50 ms | p99 ms | server cores | generator cores | generator late p99 ms | held |\n"
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    )


def row(numbers: dict[str, Any]) -> str:
    """Return one row of the table."""
    latency = numbers["latency_ms"]
    cells = [
        numbers["vehicles"],
        f"{numbers['frames_a_second']:.0f}",
        f"{latency['p50']:.1f}",
        f"{latency['p99']:.1f}",
        f"{numbers['server_cores']:.2f}",
        f"{numbers['generator_cores']:.2f}",
        f"{numbers['generator_late_ms']['p99']:.1f}",
        "yes" if numbers["held"] else "no",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _look(pid: int, log: Path) -> Usage:
    seen = usage(pid)
    if seen is None:
        raise StreamError(f"the cloud ended during the test: {last_lines(log)}")
    return seen


class _Fleet:
    """Run one generator process for as long as the `with` block lasts."""

    def __init__(self, address: str, load: Load, index: int) -> None:
        share = load.vehicles // load.processes + (index < load.vehicles % load.processes)
        command = [sys.executable, "-m", "benchmarks.gateway.fleet", "--address", address]
        command += ["--vehicles", str(share), "--prefix", f"load{index}", "--hz", str(load.hz)]
        command += ["--warm-up", str(load.warm_up_s), "--seconds", str(load.seconds)]
        command += ["--seed", str(load.seed + index), *(["--side"] if load.side else [])]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> _Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def expect(self, word: str) -> None:
        """Wait for a line.

        Raises:
            StreamError: another one came, or the process ended.
        """
        line = self._line()
        if line != word:
            raise StreamError(f"a load generator said {line[:200]!r} where {word!r} was expected")

    def go(self) -> None:
        """Let the vehicles send."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")

    def result(self) -> dict[str, Any]:
        """Return what was measured."""
        line = self._line()
        while line in ("measuring", "measured"):
            line = self._line()
        try:
            found: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            raise StreamError(f"a load generator ended without a result: {line[:200]!r}") from None
        self._process.wait(_PATIENCE_S)
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gateway", description=__doc__)
    add = parser.add_argument
    add(
        "--vehicles",
        type=int,
        default=200,
        help="how many; with --search the first number tried (default 200)",
    )
    add("--hz", type=float, default=10.0, help="frames a second of each (default 10)")
    add("--seconds", type=float, default=20.0, help="measured time of a load (default 20)")
    add("--warm-up", type=float, default=5.0, help="seconds before it (default 5)")
    add("--processes", type=int, default=1, help="load generators (default 1)")
    add("--side", action="store_true", help="a small JPEG side view with each frame, decoded by the server")
    add("--search", action="store_true", help="find the largest number of vehicles held")
    add("--step", type=int, default=10, help="how near the search has to come (default 10)")
    add("--seed", type=int, default=1)
    add(
        "--cloud-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="one more argument for `mdic-cloud serve`",
    )
    add("--json", type=Path, help="write every number to this file")
    return parser
