"""Send a great number of frames from one process (`python -m benchmarks.soak.client`, started by the soak).

Each vehicle keeps as many frames in flight as it may, and connects anew after some thousand. A line of JSON
with the counts so far goes to stdout now and then, the last one when every frame is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from typing import Any

from benchmarks.gateway.traffic import packets, side_view
from benchmarks.gateway.vehicle import Vehicle
from common.cli import run_main

PACKETS = 256
FRAME_NS = 100_000_000
PING_EVERY = 100
"""Frames between two heartbeats of a vehicle."""


class Soak:
    """Hold the counts of all vehicles."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._packets = packets(PACKETS, options.seed)
        self._side = side_view(options.seed)
        self._live: set[Vehicle] = set()
        self._statuses: Counter[str] = Counter()
        self._left = options.frames
        self._sent = self._sides = 0
        self.connections = 0

    async def run(self) -> None:
        """Send every frame and report on the way.

        Raises:
            MdicError: a connection broke, or a frame was not answered.
        """
        reporter = asyncio.ensure_future(self._report())
        try:
            await asyncio.gather(*(self._vehicle(index) for index in range(self._options.vehicles)))
        finally:
            reporter.cancel()
        print(json.dumps(self.counts() | {"done": True}), flush=True)

    def counts(self) -> dict[str, Any]:
        """Return what was done so far."""
        statuses = sum((v.statuses for v in self._live), start=Counter(self._statuses))
        return {
            "sent": self._sent + sum(v.sent for v in self._live),
            "sides": self._sides + sum(v.sides_sent for v in self._live),
            "statuses": dict(statuses),
            "connections": self.connections,
        }

    async def _vehicle(self, index: int) -> None:
        """Send frames as long as any are left for all, so that every vehicle is there to the end.

        Over as many connections as it takes; numbers and capture times go on from one to the next.
        """
        seq, base_ns = 0, time.time_ns()
        side = self._side if index < self._options.side_vehicles else None
        while self._left > 0:
            vehicle = Vehicle(self._options.address, f"soak-{index}", side is not None)
            self._live.add(vehicle)
            await vehicle.open()
            self.connections += 1
            while self._left > 0 and vehicle.sent < self._options.reconnect:
                self._left -= 1
                await vehicle.room(self._options.in_flight)
                packet = self._packets[(seq + index) % PACKETS]
                await vehicle.send(seq, base_ns + FRAME_NS * seq, packet, side)
                if seq % PING_EVERY == 0:
                    await vehicle.ping()
                seq += 1
            await vehicle.end()
            self._live.discard(vehicle)
            self._sent += vehicle.sent
            self._sides += vehicle.sides_sent
            self._statuses.update(vehicle.statuses)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._options.every)
            print(json.dumps(self.counts()), flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak.client", description=__doc__)
    add = parser.add_argument
    add("--address", required=True)
    add("--frames", type=int, required=True)
    add("--vehicles", type=int, default=4)
    add("--side-vehicles", type=int, default=1)
    add("--reconnect", type=int, default=5000)
    add("--in-flight", type=int, default=64)
    add("--every", type=float, default=0.5, help="seconds between two lines")
    add("--seed", type=int, default=1)
    asyncio.run(Soak(parser.parse_args(argv)).run())
    return 0


if __name__ == "__main__":
    run_main(main)
