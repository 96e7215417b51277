"""The shaper: one process between two TUN devices that lets packets through as a profile says.

Run by `run.py`, which hands over the descriptors. It reads one line from its standard input, the moment of link
time 0 on the monotonic clock (ns), and shapes until that input ends; before link time 0 packets only wait for
the profile's delay. Then it prints one JSON object: what came, left and was dropped in each tenth of a second, and
how late the process itself was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import sys
import time
from collections import Counter
from pathlib import Path as FilePath
from typing import Any

from benchmarks.link.capacity import NS_PER_MS, NS_PER_S
from benchmarks.link.path import Path
from benchmarks.link.profiles import Profile, profile
from common.cli import run_main
from common.stream.stats import Samples

BIN_NS = 100 * NS_PER_MS
LARGEST_PACKET = 65535
_BURST = 64
_IDLE_S = 0.2


class Ledger:
    """Count one direction's packets in tenths of a second of link time."""

    def __init__(self) -> None:
        self._bins: dict[int, Counter[str]] = {}
        self.drops: Counter[str] = Counter()
        self.packets = 0
        self.late_ms = Samples(100_000)

    def entered(self, now_ns: int, size: int, reason: str | None, leaves_ns: int, backlog: int) -> None:
        """Count a packet that came; `reason` says why it was dropped, `leaves_ns` when it leaves the queue."""
        self.packets += 1
        came = self._bin(now_ns)
        came["offered"] += size
        came["backlog"] = max(came["backlog"], backlog)
        if reason is None:
            self._bin(leaves_ns)["left"] += size
        else:
            self.drops[reason] += 1
            came["dropped"] += size

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, the bins as lists from link time 0 on."""
        last = max((number for number in self._bins), default=-1)
        empty: Counter[str] = Counter()
        bins = [self._bins.get(number, empty) for number in range(last + 1)]
        columns = {key: [item[key] for item in bins] for key in ("offered", "left", "dropped", "backlog")}
        late = self.late_ms.summary()
        return {"packets": self.packets, "drops": dict(self.drops), "late_ms": late, "bins": columns}

    def _bin(self, now_ns: int) -> Counter[str]:
        return self._bins.setdefault(max(now_ns, 0) // BIN_NS, Counter())


class Shaper:
    """Carry packets between two descriptors through two paths."""

    def __init__(self, link: Profile, seed: int, edge: int, cloud: int) -> None:
        self._ways: list[tuple[int, int, Path, Ledger]] = [
            (edge, cloud, link.up.path(2 * seed), Ledger()),
            (cloud, edge, link.down.path(2 * seed + 1), Ledger()),
        ]

    def run(self, epoch_ns: int, control: int) -> dict[str, Any]:
        """Shape until `control` can be read (its end counts); return the ledgers."""
        sources = [way[0] for way in self._ways]
        while True:
            now = time.monotonic_ns() - epoch_ns
            due = [way[2].next_ns for way in self._ways]
            first = min((moment for moment in due if moment is not None), default=None)
            wait_s = _IDLE_S if first is None else min(_IDLE_S, max(0.0, (first - now) / NS_PER_S))
            ready, _, _ = select.select([*sources, control], [], [], wait_s)
            if control in ready:
                return {name: way[3].as_dict() for name, way in zip(("up", "down"), self._ways, strict=True)}
            for source, target, path, ledger in self._ways:
                if source in ready:
                    self._take(source, path, ledger, epoch_ns)
                self._give(target, path, ledger, epoch_ns)

    def _take(self, source: int, path: Path, ledger: Ledger, epoch_ns: int) -> None:
        for _ in range(_BURST):
            try:
                packet = os.read(source, LARGEST_PACKET)
            except BlockingIOError:
                return
            if packet and packet[0] >> 4 == 4:  # IPv6 chatter of the kernel is no traffic of ours
                now = time.monotonic_ns() - epoch_ns
                reason, leaves = path.push(now, packet)
                if now >= 0:
                    ledger.entered(now, len(packet), reason, leaves, path.backlog(now))

    def _give(self, target: int, path: Path, ledger: Ledger, epoch_ns: int) -> None:
        now = time.monotonic_ns() - epoch_ns
        for due, packet in path.pop(now):
            ledger.late_ms.add((now - due) / NS_PER_MS)
            try:
                os.write(target, packet)
            except OSError:  # the device is gone or full: a lost packet, counted
                ledger.drops["device"] += 1


def main(argv: list[str] | None = None) -> int:
    """Shape as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link.shaper", description=__doc__)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--trace", type=FilePath)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--edge", type=int, required=True, help="descriptor of the edge's device")
    parser.add_argument("--cloud", type=int, required=True, help="descriptor of the cloud's device")
    options = parser.parse_args(argv)
    link = profile(options.profile, options.seed, options.trace)
    shaper = Shaper(link, options.seed, options.edge, options.cloud)
    with contextlib.suppress(OSError):  # packets are to leave on time although the machine is busy
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    print("ready", flush=True)
    line = sys.stdin.readline()
    if line.strip():
        print(json.dumps(shaper.run(int(line), sys.stdin.fileno())), flush=True)
    return 0


if __name__ == "__main__":
    run_main(main)
