"""How much a vehicle may send: token buckets, pure, with the time passed in.

A bucket may go into debt by one message, so that a message larger than the bucket passes once it is full; how
long the debt takes to be paid off is what the caller acts on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

BURST_S = 2.0
"""A vehicle may save up this much of its rate: frames come in bunches after every hiccup of a radio link."""


@dataclass(frozen=True)
class Quota:
    """Bound one vehicle; the defaults fit a rig at 30 Hz with lossless side views.

    Attributes:
        streams: RPCs open at the same time, of any kind.
        bytes_per_s: bytes of messages a second, all its streams together.
        frames_per_s: messages a second, main and side frames and all others counted alike.
    """

    streams: int = 8
    bytes_per_s: float = 48 * 2**20
    frames_per_s: float = 400.0

    @classmethod
    def parse(cls, table: Mapping[str, Any], base: Quota | None = None) -> Quota:
        """Return the quota in a table of the tokens file; what it leaves out is as in `base`.

        Raises:
            ValueError: a key is unknown or a value no positive number; the message says which.
        """
        known = {entry.name for entry in fields(cls)}
        values = {name: getattr(base or cls(), name) for name in known}
        for name, value in table.items():
            if name not in known:
                raise ValueError(f"quota {name!r} is unknown (known: {', '.join(sorted(known))})")
            whole = name == "streams"
            if (
                isinstance(value, bool)
                or not isinstance(value, int if whole else (int, float))
                or not value > 0
            ):
                raise ValueError(f"quota {name} is {value!r}, not a {'whole ' * whole}number above 0")
            values[name] = value
        return cls(**values)


class TokenBucket:
    """Fill at a steady rate up to a bound, and be drawn from."""

    def __init__(self, rate_per_s: float, capacity: float, now_s: float) -> None:
        """Start full."""
        self.rate_per_s, self.capacity = rate_per_s, capacity
        self._level = capacity
        self._at_s = now_s

    def take(self, amount: float, now_s: float) -> float:
        """Draw `amount` and return the seconds until the debt is paid; 0 when there is none."""
        self._fill(now_s)
        self._level -= amount
        return max(-self._level / self.rate_per_s, 0.0)

    def full(self, now_s: float) -> bool:
        """Tell whether it holds all it can."""
        self._fill(now_s)
        return self._level >= self.capacity

    def _fill(self, now_s: float) -> None:
        # A clock that went back fills nothing, and takes nothing away either.
        self._level = min(self._level + max(now_s - self._at_s, 0.0) * self.rate_per_s, self.capacity)
        self._at_s = max(now_s, self._at_s)


@dataclass(frozen=True)
class Excess:
    """Say which quota was exceeded and how long its debt takes to be paid."""

    what: str
    wait_s: float


class VehicleMeter:
    """Measure one vehicle over all its streams."""

    def __init__(self, quota: Quota, now_s: float) -> None:
        self.quota = quota
        self.streams = 0
        self._bytes, self._frames = self._buckets(now_s)

    def _buckets(self, now_s: float) -> tuple[TokenBucket, TokenBucket]:
        size, count = self.quota.bytes_per_s, self.quota.frames_per_s
        return TokenBucket(size, size * BURST_S, now_s), TokenBucket(count, max(count * BURST_S, 1.0), now_s)

    def change(self, quota: Quota, now_s: float) -> None:
        """Go on with another quota."""
        if quota != self.quota:
            self.quota = quota
            self._bytes, self._frames = self._buckets(now_s)

    def open(self) -> Excess | None:
        """Count one more stream, or return why it may not be."""
        if self.streams >= self.quota.streams:
            return Excess(f"{self.quota.streams} streams at a time", 0.0)
        self.streams += 1
        return None

    def close(self) -> None:
        """Count one stream less."""
        self.streams -= 1

    def take(self, size: int, now_s: float) -> Excess | None:
        """Count one message of `size` bytes; return the quota that is in debt now, the longer debt first."""
        byte_wait, frame_wait = self._bytes.take(size, now_s), self._frames.take(1.0, now_s)
        if byte_wait <= 0 and frame_wait <= 0:
            return None
        if byte_wait >= frame_wait:
            return Excess(f"{self.quota.bytes_per_s:.0f} bytes a second", byte_wait)
        return Excess(f"{self.quota.frames_per_s:g} frames a second", frame_wait)

    def idle(self, now_s: float) -> bool:
        """Tell whether forgetting it would change nothing."""
        return not self.streams and self._bytes.full(now_s) and self._frames.full(now_s)


class Meters:
    """Hold the meters of the vehicles that are here or were a moment ago."""

    def __init__(self) -> None:
        self._by_vehicle: dict[str, VehicleMeter] = {}

    def __len__(self) -> int:
        """Count the meters."""
        return len(self._by_vehicle)

    def of(self, vehicle: str, quota: Quota, now_s: float) -> VehicleMeter:
        """Return the vehicle's meter; coming back does not fill its buckets."""
        meter = self._by_vehicle.get(vehicle)
        if meter is None:
            self.sweep(now_s)
            meter = self._by_vehicle[vehicle] = VehicleMeter(quota, now_s)
        meter.change(quota, now_s)
        return meter

    def sweep(self, now_s: float) -> None:
        """Forget what need not be remembered."""
        for vehicle in [name for name, meter in self._by_vehicle.items() if meter.idle(now_s)]:
            del self._by_vehicle[vehicle]
