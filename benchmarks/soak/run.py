"""`python -m benchmarks soak`: a long stream over loopback into a real server, to see whether anything grows.

A real `mdic-cloud serve --engine null` in one process (with one addition: it tells its number of asyncio tasks)
and a client in another, which sends packets made beforehand as fast as its windows let it; some vehicles send
side views, all connect anew now and then. Both processes are looked at from outside, in /proc. It passes when
every frame was decoded and neither process's memory, descriptors, threads or tasks grew after the warm-up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.demo.processes import Cloud, last_lines
from benchmarks.gateway.proc import need_proc, usage
from benchmarks.rd.results import write_json
from benchmarks.soak.plot import draw
from benchmarks.soak.verdict import Sample, growth, problems
from common.errors import StreamError, UsageError

ROOT = Path(__file__).resolve().parents[2]
SERVER, CLIENT = "server", "client"
MOST_SAMPLES_KEPT = 400


def main(argv: list[str]) -> int:
    """Run the soak; a summary goes to stdout. Exit code 1 when something grew or a frame was not decoded."""
    options = _parser().parse_args(argv)
    need_proc()
    if min(options.frames, options.vehicles, options.reconnect, options.in_flight) < 1:
        raise UsageError("--frames, --vehicles, --reconnect and --in-flight must be at least 1")
    if options.every <= 0:
        raise UsageError(f"--every {options.every:g} is not above 0")
    if not 0 <= options.side_vehicles <= options.vehicles:
        raise UsageError(f"--side-vehicles {options.side_vehicles} is not in 0..{options.vehicles}")
    began = time.monotonic()
    outcome = soak(options)
    document = report.describe_run(report.command_line("benchmarks", ["soak", *argv]), options.seed) | {
        "packages": report.versions(["grpcio", "protobuf", "uvloop"]),
        "frames": options.frames,
        "vehicles": options.vehicles,
        "side_vehicles": options.side_vehicles,
        "sinks": [spec.partition(":")[0] for spec in options.sink],
        "seconds": round(time.monotonic() - began, 1),
        **judged(outcome, options.frames),
    }
    if options.plot is not None:
        draw(outcome["samples"], options.plot)
        print(f"wrote {options.plot}", file=sys.stderr)
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print("\n".join(lines(document)))
    return 0 if document["passed"] else 1


def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run server and client; return the client's counts, the server's summary and all samples.

    Raises:
        StreamError: one of them failed.
    """
    samples: dict[str, list[Sample]] = {SERVER: [], CLIENT: []}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        log, tasks = Path(scratch) / "cloud.log", Path(scratch) / "tasks"
        arguments = ["--engine", "null", "--side-wait-ms", "0", "--json"]
        arguments += [word for spec in options.sink for word in ("--sink", spec)]
        program = ("-m", "benchmarks.soak.server", str(tasks))
        cloud = stack.enter_context(Cloud(arguments, ROOT, log, program))
        command = [sys.executable, "-m", "benchmarks.soak.client", "--address", cloud.address()]
        for name in ("frames", "vehicles", "side_vehicles", "reconnect", "in_flight", "every", "seed"):
            command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
        client = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        stack.callback(_end, client)
        bar = stack.enter_context(tqdm(total=options.frames, desc="soak", unit="frame", disable=None))
        counts: dict[str, Any] = {}
        assert client.stdout is not None
        for line in client.stdout:
            counts = json.loads(line)
            answered = sum(counts["statuses"].values())
            bar.update(answered - bar.n)
            if not counts.get("done"):
                _look(samples, answered, {SERVER: cloud.pid, CLIENT: client.pid}, tasks)
        if client.wait() != 0 or not counts.get("done"):
            raise StreamError(
                f"the client ended with exit code {client.returncode} (cloud: {last_lines(log)})"
            )
        if cloud.stop() != 0:
            raise StreamError(f"the cloud ended with exit code {cloud.exit_code}: {last_lines(log)}")
        return {"counts": counts, "samples": samples, "totals": _totals(log)}


def judged(outcome: dict[str, Any], frames: int) -> dict[str, Any]:
    """Return the part of the result that says whether it passed, and why not."""
    counts, totals = outcome["counts"], outcome["totals"]
    found = {name: growth(seen, frames) for name, seen in outcome["samples"].items()}
    wrong = [line for name, grown in found.items() for line in problems(name, grown)]
    if counts["statuses"] != {"decoded": frames} or counts["sent"] != frames:
        wrong.append(f"not every frame was decoded: {counts['sent']} sent, {counts['statuses']}")
    if totals.get("received") != frames or totals.get("decoded") != frames:
        wrong.append(f"the server counted {totals.get('received')} received, {totals.get('decoded')} decoded")
    return {
        "passed": not wrong,
        "problems": wrong,
        "counts": counts,
        "growth": found,
        "server_totals": totals,
        "samples": {name: [asdict(s) for s in _thin(seen)] for name, seen in outcome["samples"].items()},
    }


def lines(document: dict[str, Any]) -> list[str]:
    """Return the summary for people."""
    rate = document["frames"] / document["seconds"]
    counts = document["counts"]
    out = [
        f"{document['frames']} frames of {document['vehicles']} vehicles over {counts['connections']} connections, "
        f"{counts['sides']} side views, {document['seconds']:.0f} s, {rate:.0f} frames/s"
    ]
    for name, grown in document["growth"].items():
        if grown is not None:
            cells = [
                f"{quantity} {value['after_warm_up']:g} -> {value['end']:g}"
                for quantity, value in grown.items()
                if quantity != "samples"
            ]
            out.append(f"{name}: {', '.join(cells)} (memory {100 * grown['rss_kib']['growth']:+.2f} %)")
    return [*out, *document["problems"], "passed" if document["passed"] else "failed"]


def _look(samples: dict[str, list[Sample]], frames: int, pids: dict[str, int], tasks: Path) -> None:
    """Append a sample of each process; the server's tasks are those it wrote since the last look."""
    for name, pid in pids.items():
        seen = usage(pid)
        if seen is None:
            raise StreamError(f"the {name} ended during the soak")
        count = None
        if name == SERVER:
            with contextlib.suppress(OSError, ValueError):
                count = int(tasks.read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        samples[name].append(Sample(frames, seen.rss_kib, seen.descriptors, seen.threads, count))


def _thin(samples: list[Sample]) -> list[Sample]:
    return samples[:: max(1, -(-len(samples) // MOST_SAMPLES_KEPT))]


def _totals(log: Path) -> dict[str, Any]:
    """Return the summary that the server printed at its end."""
    for line in reversed(log.read_text("utf-8", errors="replace").splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    add = parser.add_argument
    add("--frames", type=int, default=200_000, help="main frames in all (default 200000)")
    add("--vehicles", type=int, default=4, help="at the same time (default 4)")
    add("--side-vehicles", type=int, default=1, help="how many of them send side views (default 1)")
    add(
        "--reconnect",
        type=int,
        default=5000,
        help="frames after which a vehicle connects anew (default 5000)",
    )
    add("--in-flight", type=int, default=64, help="most frames of a vehicle without an ack (default 64)")
    add("--sink", action="append", default=[], metavar="images:DIR", help="as of `mdic-cloud serve`")
    add("--every", type=float, default=0.5, metavar="S", help="time between two looks (default 0.5)")
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="write every number to this file")
    add("--plot", type=Path, help="draw memory, descriptors, threads and tasks into this PNG")
    return parser
