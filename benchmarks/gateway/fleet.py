"""Drive some live vehicles from one process (`python -m benchmarks.gateway.fleet`, started by the gateway command).

It connects every vehicle and says `ready`; at `go` on standard input each sends its frames at its rate, with a
phase and a jitter of its own; after the warm-up it says `measuring`; at the end it prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gateway.traffic import packets, side_view
from benchmarks.gateway.vehicle import Vehicle
from common.cli import run_main
from common.errors import MdicError

PACKETS = 64
CONNECT_AT_ONCE = 16
JITTER_SHARE = 0.2
"""Frames leave up to this part of an interval before or after their time."""
PING_EVERY_S = 1.0


@dataclass
class Measured:
    """Collect what happened inside the measured time.

    Attributes:
        latency_ms: from handing a frame to gRPC until its ack was read.
        late_ms: how far behind its time each frame was handed over: the generator's own slowness.
        sent: frames.
        broken: what ended vehicles before their time.
    """

    latency_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    sent: int = 0
    broken: list[str] = field(default_factory=list)


class Fleet:
    """Hold the vehicles of one process and their clock."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._packets = packets(PACKETS, options.seed)
        names = (f"{options.prefix}-{options.first + i}" for i in range(options.vehicles))
        self.vehicles = [Vehicle(options.address, name, options.side) for name in names]
        self._side = side_view(options.seed) if options.side else None
        self.measured = Measured()
        self._from_ns = self._until_ns = 0

    async def connect(self) -> None:
        """Connect every vehicle, a few at a time.

        Raises:
            MdicError: one was refused.
        """
        for start in range(0, len(self.vehicles), CONNECT_AT_ONCE):
            await asyncio.gather(*(v.open() for v in self.vehicles[start : start + CONNECT_AT_ONCE]))

    async def drive(self) -> dict[str, Any]:
        """Send, measure, end; return what came of it."""
        now_ns = time.monotonic_ns()
        self._from_ns = now_ns + round(1e9 * self._options.warm_up)
        self._until_ns = self._from_ns + round(1e9 * self._options.seconds)
        cpu_s = 0.0

        async def note() -> None:
            nonlocal cpu_s
            await asyncio.sleep(self._options.warm_up)
            cpu_s = _cpu_s()
            print("measuring", flush=True)
            await asyncio.sleep(self._options.seconds)
            cpu_s = _cpu_s() - cpu_s
            print("measured", flush=True)

        rng = random.Random(self._options.seed)
        await asyncio.gather(note(), *(self._guarded(v, now_ns, rng.random()) for v in self.vehicles))
        statuses = sum((v.statuses for v in self.vehicles), start=type(self.vehicles[0].statuses)())
        return {
            "vehicles": len(self.vehicles),
            "sent_in_all": sum(v.sent for v in self.vehicles),
            "statuses": dict(statuses),
            "unanswered": sum(len(v.in_flight) for v in self.vehicles),
            "sent": self.measured.sent,
            "latency_ms": [round(ms, 3) for ms in self.measured.latency_ms],
            "late_ms": [round(ms, 3) for ms in self.measured.late_ms],
            "broken": self.measured.broken,
            "cpu_s": round(cpu_s, 3),
        }

    async def _guarded(self, vehicle: Vehicle, start_ns: int, phase: float) -> None:
        try:
            await self._drive(vehicle, start_ns, phase)
            await vehicle.end()
        except MdicError as error:
            self.measured.broken.append(f"{vehicle.name}: {error}")
            await vehicle.close()

    async def _drive(self, vehicle: Vehicle, start_ns: int, phase: float) -> None:
        interval_ns = 1e9 / self._options.hz
        rng = random.Random(vehicle.name)
        vehicle.on_ack = self._answered
        next_ping_ns = start_ns + round(1e9 * PING_EVERY_S * phase)
        seq = 0
        while True:
            due_ns = start_ns + interval_ns * (seq + phase + JITTER_SHARE * rng.uniform(-1, 1))
            if due_ns >= self._until_ns:
                return
            now_ns = time.monotonic_ns()
            if due_ns > now_ns:
                await asyncio.sleep((due_ns - now_ns) / 1e9)
                now_ns = time.monotonic_ns()
            if self._inside(now_ns):
                self.measured.sent += 1
                self.measured.late_ms.append(max(0.0, (now_ns - due_ns) / 1e6))
            await vehicle.send(seq, time.time_ns(), self._packets[seq % PACKETS], self._side)
            if now_ns >= next_ping_ns:
                next_ping_ns += round(1e9 * PING_EVERY_S)
                await vehicle.ping()
            seq += 1

    def _answered(self, sent_ns: int, now_ns: int) -> None:
        if self._inside(sent_ns):
            self.measured.latency_ms.append((now_ns - sent_ns) / 1e6)

    def _inside(self, at_ns: int) -> bool:
        return self._from_ns <= at_ns < self._until_ns


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def run(options: argparse.Namespace) -> int:
    """Connect, wait for `go`, drive, print."""
    fleet = Fleet(options)
    await fleet.connect()
    print("ready", flush=True)
    if not await asyncio.to_thread(sys.stdin.readline):
        return 1  # whoever started us is gone
    print(json.dumps(await fleet.drive()), flush=True)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.fleet", description=__doc__)
    add = parser.add_argument
    add("--address", required=True)
    add("--vehicles", type=int, required=True)
    add("--first", type=int, default=0, help="number of the first vehicle")
    add("--prefix", default="load")
    add("--hz", type=float, default=10.0)
    add("--warm-up", type=float, default=3.0)
    add("--seconds", type=float, default=10.0)
    add("--side", action="store_true", help="a small side view with each frame")
    add("--seed", type=int, default=1)
    return asyncio.run(run(parser.parse_args(argv)))


if __name__ == "__main__":
    run_main(main)
