"""Run one fuzz target: guided by coverage where atheris is installed, else by a plain seeded mutator.

A target is a function of bytes. It returns whether the bytes were accepted, and lets out whatever is not a
documented error: that is what both ways of running call a crash. Beside it, each input has a bound of time and
the process one of memory.

    python tests/fuzz/fuzz_manifest.py --seconds 60
    python tests/fuzz/fuzz_manifest.py --runs 1000000 --seed 3
    python tests/fuzz/fuzz_manifest.py --plain --runs 20000
    python tests/fuzz/fuzz_manifest.py --input out/fuzz/manifest/crash-...
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
PACKAGES = ["common", "cloud.sideinfo", "tomllib", "tomli"]
"""What is instrumented for coverage; generated code and libraries are not, but for the TOML reader."""

MAX_INPUT_BYTES = 4096
MAX_INPUT_S = 0.1
MAX_GROWTH_MIB = 256
_STATS_EVERY_S = 1.0
_MEMORY_EVERY = 1000

Target = Callable[[bytes], bool]

sys.path.insert(0, str(ROOT))


def atheris() -> Any:
    """Return the atheris module, or None where it is not installed or not wanted."""
    if "--plain" in sys.argv or "--input" in sys.argv or Path(sys.argv[0]).resolve().parent != HERE:
        return None  # the tests load targets too, and want them as they are
    try:
        import atheris as found
    except ImportError:
        return None
    return found


def instrumented() -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a target imports what it tests."""
    found = atheris()
    return contextlib.nullcontext() if found is None else found.instrument_imports(include=PACKAGES)


class Guard:
    """Call a target, hold it to its bounds and count."""

    def __init__(self, run: Target, stats: Path | None = None, guided: bool = False) -> None:
        self.executions = self.accepted = self.slowest_bytes = 0
        self.slowest_s = 0.0
        self._run, self._stats = run, stats
        gc.freeze()  # else collecting what was there before takes its time in the middle of an input
        self._written_s = time.monotonic()
        self._start_mib = self._before_mib = peak_mib()
        self._guided = guided

    def __call__(self, data: bytes) -> None:
        """Run one input.

        Raises:
            AssertionError: it took too long, or memory has grown.
            Exception: what the target let out.
        """
        began = time.thread_time()  # processor time: other processes must not make an input look slow
        accepted = self._run(data)
        took = time.thread_time() - began
        self.executions += 1
        self.accepted += accepted
        if took > self.slowest_s:
            self.slowest_s, self.slowest_bytes = took, len(data)
        assert took <= MAX_INPUT_S or len(data) > MAX_INPUT_BYTES, f"{len(data)} bytes took {took:.3f} s"
        if self.executions % _MEMORY_EVERY == 0:
            growth = peak_mib() - self._before_mib
            assert growth <= MAX_GROWTH_MIB, f"memory grew by {growth} MiB"
            if self._guided:
                # The guided search keeps a third of a kilobyte an input for itself: only jumps are ours then. That
                # nothing creeps is what the plain mutator watches, from start to end.
                self._before_mib = peak_mib()
        # libFuzzer ends the process without a word to Python, so the counts are written on the way: often at first.
        if (
            self.executions & (self.executions - 1) == 0
            or time.monotonic() - self._written_s > _STATS_EVERY_S
        ):
            self.write()

    def write(self) -> None:
        """Write the counts to the file given at the start."""
        if self._stats is not None:
            self._stats.write_text(json.dumps(self.counts()))
            self._written_s = time.monotonic()

    def counts(self) -> dict[str, Any]:
        """Return what was done so far."""
        return {
            "executions": self.executions,
            "accepted": self.accepted,
            "slowest_ms": round(1000 * self.slowest_s, 2),
            "slowest_bytes": self.slowest_bytes,
            "peak_rss_mib": peak_mib(),
            "growth_mib": peak_mib() - self._start_mib,
        }


def peak_mib() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main(name: str, run: Target) -> None:
    """Fuzz `run` as the command line asks; ends the process with a code other than 0 on a crash."""
    parser = argparse.ArgumentParser(description=f"fuzz {name}")
    add = parser.add_argument
    add("--seconds", type=int, default=0, help="stop after so long; 0: when --runs is reached")
    add("--runs", type=int, default=0, help="stop after so many inputs; 0: when --seconds are over")
    add("--seed", type=int, default=1)
    add("--plain", action="store_true", help="without atheris, even where it is installed")
    add("--out", type=Path, default=ROOT / "out" / "fuzz" / name, help="where new inputs and crashes go")
    add("--stats", type=Path, help="write the counts here")
    add("--input", type=Path, help="run this one input and nothing else")
    options = parser.parse_args()
    if options.input is not None:
        print("accepted" if run(options.input.read_bytes()) else "refused with a documented error")
        return
    if options.seconds <= 0 and options.runs <= 0:
        parser.error("--seconds or --runs has to be above 0")
    options.out.mkdir(parents=True, exist_ok=True)
    found = atheris()
    guard = Guard(run, options.stats, guided=found is not None)
    if found is None:
        plain(guard, seeds(name), options)
    else:
        guided(found, guard, name, options)


def seeds(name: str) -> list[bytes]:
    """Return the committed inputs of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def guided(found: Any, guard: Guard, name: str, options: argparse.Namespace) -> None:
    """Fuzz under libFuzzer, which ends the process itself."""
    grown = options.out / "corpus"
    grown.mkdir(exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-artifact_prefix={options.out}{os.sep}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-seed={options.seed}",
        "-rss_limit_mb=2048",
        "-timeout=10",
        "-print_final_stats=1",
    ]
    arguments += [f"-max_total_time={options.seconds}"] if options.seconds > 0 else []
    arguments += [f"-runs={options.runs}"] if options.runs > 0 else []
    words = HERE / "words" / f"{name}.dict"
    arguments += [f"-dict={words}"] if words.is_file() else []
    found.Setup([*arguments, str(grown), str(CORPUS / name)], guard)
    found.Fuzz()


def plain(guard: Guard, start: list[bytes], options: argparse.Namespace) -> None:
    """Fuzz with random changes of the seeds; the same seed makes the same inputs."""
    mutator = Mutator(start, random.Random(options.seed))
    end_s = time.monotonic() + options.seconds if options.seconds > 0 else float("inf")
    while time.monotonic() < end_s and (options.runs <= 0 or guard.executions < options.runs):
        data = mutator.next()
        try:
            guard(data)
        except BaseException:
            kept = options.out / f"crash-{guard.executions}"
            kept.write_bytes(data)
            print(f"crash: {kept}", file=sys.stderr)
            guard.write()
            raise
    guard.write()


class Mutator:
    """Make inputs from seeds: flipped bits, edge values, cut, doubled and spliced pieces."""

    EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)

    def __init__(self, start: list[bytes], rng: random.Random) -> None:
        self._seeds = start or [b""]
        self._rng = rng

    def next(self) -> bytes:
        """Return the next input."""
        rng = self._rng
        data = bytearray(rng.choice(self._seeds))
        for _ in range(rng.randint(0, 6)):
            self._change(data)
        return bytes(data[:MAX_INPUT_BYTES])

    def _change(self, data: bytearray) -> None:
        rng = self._rng
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice((1, 1, 2, 4, 8, 64)), len(data) - at)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice(self.EDGES)
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
        elif kind == 4:
            data[at:at] = data[at : at + size] * rng.choice((1, 2, 16))
        else:
            other = rng.choice(self._seeds)
            start = rng.randrange(len(other) + 1)
            data[at : at + size] = other[start : start + rng.choice((1, 8, 64))]
