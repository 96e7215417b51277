"""Links by name: seeded sequences of rate, delay and loss, or a mahimahi trace for the way up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath

from benchmarks.link.capacity import Capacity, SteppedCapacity, TraceCapacity
from benchmarks.link.path import Forecast, Path, Weather
from benchmarks.link.trace import read_trace
from common.errors import UsageError

STEP_S = 0.1
CYCLE_S = 300.0
Steps = tuple[tuple[Weather, float], ...]


@dataclass(frozen=True)
class Direction:
    """One direction of a link.

    Attributes:
        steps: (weather, bits a second), repeated for ever.
        limit_bytes: size of the drop-tail queue.
        trace: moments in ms of a mahimahi trace that stands in place of the steps' rates.
    """

    steps: Steps
    limit_bytes: int
    trace: tuple[int, ...] | None = None

    def capacity(self) -> Capacity:
        """Return when bytes leave, from the beginning."""
        if self.trace is not None:
            return TraceCapacity(self.trace)
        return SteppedCapacity([(weather.seconds, rate) for weather, rate in self.steps])

    def forecast(self) -> Forecast:
        """Return what happens to packets when, beside the rate."""
        return Forecast([weather for weather, _ in self.steps])

    def path(self, seed: int) -> Path:
        """Return the queue model of this direction."""
        return Path(self.capacity(), self.forecast(), self.limit_bytes, seed)


@dataclass(frozen=True)
class Profile:
    """A link: up from the edge to the cloud, down the other way."""

    name: str
    up: Direction
    down: Direction
    text: str


def profile(name: str, seed: int, trace: FilePath | None = None) -> Profile:
    """Return the profile called `name`; `trace:FILE` (or `trace` with a file beside it) replays a mahimahi trace.

    Raises:
        UsageError: no such profile.
        InputError: the trace cannot be used.
    """
    if name.startswith("trace:"):
        name, trace = "trace", FilePath(name.partition(":")[2])
    if name == "trace":
        if trace is None:
            raise UsageError("profile trace needs --trace FILE (or --profile trace:FILE)")
        return _traced(trace)
    if trace is not None:
        raise UsageError(f"--trace does not go with profile {name!r}, only with trace")
    if name not in PROFILES:
        raise UsageError(f"unknown profile {name!r} ({', '.join(PROFILES)}, trace:FILE)")
    return PROFILES[name](random.Random(seed))


def _constant(rate: float, weather: Weather) -> Steps:
    return ((weather, rate),)


def _wander(
    rng: random.Random, mean: float, spread: float, memory_s: float, weather: Callable[[float], Weather]
) -> Steps:
    """Return a rate that wanders around `mean`: log-normal, first-order autoregressive, a step each 100 ms."""
    keep = math.exp(-STEP_S / memory_s)
    value, steps = 0.0, []
    for index in range(round(CYCLE_S / STEP_S)):
        value = keep * value + math.sqrt(1 - keep * keep) * rng.gauss(0.0, spread)
        steps.append((weather(index * STEP_S), mean * math.exp(value - spread * spread / 2)))
    return tuple(steps)


def _with_stalls(
    steps: Steps, rng: random.Random, every_s: float, shortest_s: float, longest_s: float
) -> Steps:
    """Return the steps with a rate of 0 for a moment now and then, as at a handover; packets wait."""
    changed = list(steps)
    at = rng.expovariate(1 / every_s)
    while at < CYCLE_S - longest_s:
        for index in range(round(at / STEP_S), round((at + rng.uniform(shortest_s, longest_s)) / STEP_S)):
            changed[index] = (changed[index][0], 0.0)
        at += longest_s + rng.expovariate(1 / every_s)
    return tuple(changed)


def _lte(rng: random.Random) -> Profile:
    sky = Weather(STEP_S, delay_ms=25, jitter_ms=6, loss=0.0002)
    up = _with_stalls(_wander(rng, 4e6, 0.8, 3.0, lambda _: sky), rng, 20.0, 0.2, 0.8)
    down = _constant(20e6, Weather(1.0, delay_ms=25, jitter_ms=4))
    text = "up 4 Mb/s in the mean, wandering; stalls of 0.2 to 0.8 s about every 20 s; round trip 50 ms"
    return Profile("lte", Direction(up, 250_000), Direction(down, 500_000), text)


def _5g(rng: random.Random) -> Profile:
    sky = Weather(STEP_S, delay_ms=9, jitter_ms=2, loss=0.0001)
    up = _with_stalls(_wander(rng, 40e6, 0.9, 2.0, lambda _: sky), rng, 15.0, 0.2, 1.0)
    down = _constant(100e6, Weather(1.0, delay_ms=9, jitter_ms=2))
    text = "up 40 Mb/s in the mean, wandering; blocked for 0.2 to 1 s about every 15 s; round trip 18 ms"
    return Profile("5g", Direction(up, 600_000), Direction(down, 2_000_000), text)


def _starlink(rng: random.Random) -> Profile:
    slots = round(CYCLE_S / 15.0)
    delays = [rng.uniform(14.0, 32.0) for _ in range(slots)]
    rates = [rng.uniform(4e6, 14e6) for _ in range(slots)]
    up: list[tuple[Weather, float]] = []
    down: list[tuple[Weather, float]] = []
    for delay, rate in zip(delays, rates, strict=True):
        gap = rng.uniform(0.06, 0.3)
        for steps, speed in ((up, rate), (down, 10 * rate)):
            steps.append((Weather(gap, delay, jitter_ms=4, loss=0.03), 0.0))
            steps.append((Weather(15.0 - gap, delay, jitter_ms=4, loss=0.001), speed))
    text = (
        "every 15 s another satellite: 60 to 300 ms without service, then another delay (14 to 32 ms one way) "
        "and another rate (up 4 to 14 Mb/s); 0.1 % loss"
    )
    return Profile("starlink", Direction(tuple(up), 300_000), Direction(tuple(down), 2_000_000), text)


def _geo(rng: random.Random) -> Profile:
    up = _constant(1.5e6, Weather(1.0, delay_ms=300, jitter_ms=5, loss=0.0005))
    down = _constant(10e6, Weather(1.0, delay_ms=300, jitter_ms=5))
    return Profile("geo", Direction(up, 300_000), Direction(down, 500_000), "round trip 600 ms, up 1.5 Mb/s")


def _64k(rng: random.Random) -> Profile:
    one = _constant(64e3, Weather(1.0, delay_ms=50, jitter_ms=5))
    return Profile(
        "64k", Direction(one, 32_000), Direction(one, 32_000), "64 kb/s each way, round trip 100 ms"
    )


def _tunnel(rng: random.Random) -> Profile:
    clear = Weather(20.0, delay_ms=30, jitter_ms=5, loss=0.0002)
    dark = Weather(30.0, delay_ms=30, dead=True)
    after = Weather(70.0, delay_ms=30, jitter_ms=5, loss=0.0002)

    def steps(rate: float) -> Steps:
        return ((clear, rate), (dark, rate), (after, rate))

    text = "3 Mb/s up, round trip 60 ms; from second 20 to 50 nothing gets through; repeats after 120 s"
    return Profile("tunnel", Direction(steps(3e6), 250_000), Direction(steps(20e6), 500_000), text)


def _traced(path: FilePath) -> Profile:
    sky = Weather(1.0, delay_ms=20)
    down = _constant(20e6, sky)
    text = f"up: mahimahi trace {path.name}, repeated; round trip 40 ms"
    up = Direction(_constant(1.0, sky), 250_000, read_trace(path))
    return Profile(f"trace:{path.name}", up, Direction(down, 500_000), text)


PROFILES: dict[str, Callable[[random.Random], Profile]] = {
    "lte": _lte,
    "5g": _5g,
    "starlink": _starlink,
    "geo": _geo,
    "64k": _64k,
    "tunnel": _tunnel,
}
