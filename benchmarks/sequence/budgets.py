"""Who is better at a total budget: the best points of each way to code two cameras, and where they cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

BUDGETS_KBPS = (32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True)
class Operation:
    """Hold one measured way to code both cameras.

    Attributes:
        total_kbps: both cameras together.
        quality: the metric, mean of both cameras.
        main: setting of the main view.
        side: setting of the side view.
    """

    total_kbps: float
    quality: float
    main: str
    side: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        return asdict(self)


Front = Sequence[Operation]


@dataclass(frozen=True)
class Reading:
    """Hold what a front gives at a budget.

    Attributes:
        value: the metric; None when the budget is too small for every measured point.
        status: `interpolated`, `measured`, `not reached` or `held` (the budget is above the dearest
            measured point, whose value stands: nothing is extrapolated).
        used_kbps: the rate the value belongs to: the budget, the dearest point's when held, the cheapest
            point's when not reached.
    """

    value: float | None
    status: str
    used_kbps: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        return asdict(self)


def front(operations: Sequence[Operation], higher_is_better: bool) -> list[Operation]:
    """Return the operations that no cheaper or equally cheap one equals, by rising total rate."""
    kept: list[Operation] = []
    sign = 1.0 if higher_is_better else -1.0
    for operation in sorted(operations, key=lambda o: (o.total_kbps, -sign * o.quality)):
        if not kept or sign * operation.quality > sign * kept[-1].quality:
            kept.append(operation)
    return kept


def hull(operations: Sequence[Operation], higher_is_better: bool) -> list[Operation]:
    """Return the points of the front on its convex hull over log rate.

    A front of many measured splits is a staircase of their coarse settings; finer settings would fill it. The hull
    is what they could reach at best, and nowhere worse than any line between two measured points.
    """
    sign = 1.0 if higher_is_better else -1.0
    kept: list[Operation] = []
    for point in front(operations, higher_is_better):
        while len(kept) >= 2 and sign * point.quality >= sign * _line(kept[-2], kept[-1], point.total_kbps):
            kept.pop()
        kept.append(point)
    return kept


def at_budget(points: Front, budget_kbps: float) -> Reading:
    """Return the metric at a budget, linear over the logarithm of the rate between measured points.

    Raises:
        ValueError: there is no point.
    """
    if not points:
        raise ValueError("a front without points")
    if budget_kbps < points[0].total_kbps:
        return Reading(None, "not reached", points[0].total_kbps)
    for point in points:
        if math.isclose(point.total_kbps, budget_kbps, rel_tol=1e-9):
            return Reading(point.quality, "measured", budget_kbps)
    if budget_kbps > points[-1].total_kbps:
        return Reading(points[-1].quality, "held", points[-1].total_kbps)
    return Reading(_between(points, budget_kbps), "interpolated", budget_kbps)


def best_operation(points: Front, budget_kbps: float) -> Operation:
    """Return the dearest measured point within a budget; the cheapest one where none is."""
    within = [point for point in points if point.total_kbps <= budget_kbps]
    return within[-1] if within else points[0]


def winner(ours: Reading, other: Reading, higher_is_better: bool) -> str:
    """Return `ours`, `other`, `tie` or `neither`; who cannot get down to the budget has lost there."""
    if ours.value is None or other.value is None:
        if ours.value is None and other.value is None:
            return "neither"
        return "other" if ours.value is None else "ours"
    gain = ours.value - other.value if higher_is_better else other.value - ours.value
    return "tie" if gain == 0 else "ours" if gain > 0 else "other"


@dataclass(frozen=True)
class Crossings:
    """Hold where two fronts cross.

    Attributes:
        low_kbps: start of the rates both reach; None when they share none.
        high_kbps: end of them.
        kbps: the crossings in that range, rising.
        better_at_low: who is better at its start: `ours`, `other` or `tie`.
        why: what there is to say when the list is empty.
    """

    low_kbps: float | None
    high_kbps: float | None
    kbps: Sequence[float]
    better_at_low: str
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        return asdict(self) | {"kbps": list(self.kbps)}


def crossings(ours: Front, other: Front, higher_is_better: bool) -> Crossings:
    """Return where the better one changes over the rates that both fronts cover."""
    low = max(ours[0].total_kbps, other[0].total_kbps)
    high = min(ours[-1].total_kbps, other[-1].total_kbps)
    if high < low:
        spans = " and ".join(f"{p[0].total_kbps:.0f}..{p[-1].total_kbps:.0f}" for p in (ours, other))
        return Crossings(None, None, (), "tie", f"no common rates: {spans} kb/s")
    inner = {p.total_kbps for p in (*ours, *other) if low < p.total_kbps < high}
    knots = sorted({low, high, *inner})
    sign = 1.0 if higher_is_better else -1.0
    gains = [sign * (_between(ours, x) - _between(other, x)) for x in knots]
    found: list[float] = []
    # Both fronts are straight between knots (over log rate), so the sign changes at most once there.
    last, zero = None, None
    for x, gain in zip(knots, gains, strict=True):
        if gain == 0:
            zero = x
            continue
        if last is not None and (gain > 0) != (last[1] > 0):
            share = last[1] / (last[1] - gain)
            found.append(zero or math.exp(math.log(last[0]) + share * (math.log(x) - math.log(last[0]))))
        last, zero = (x, gain), None
    first = next((gain for gain in gains if gain != 0), 0.0)
    better = "tie" if first == 0 else "ours" if first > 0 else "other"
    why = "" if found else f"{better} over all of {low:.0f}..{high:.0f} kb/s"
    return Crossings(low, high, tuple(found), better, why)


def _between(points: Front, kbps: float) -> float:
    """Return the metric at a rate inside the front's range."""
    for left, right in pairwise(points):
        if left.total_kbps <= kbps <= right.total_kbps:
            return _line(left, right, kbps)
    return points[0].quality if kbps <= points[0].total_kbps else points[-1].quality


def _line(left: Operation, right: Operation, kbps: float) -> float:
    """Return where the line through two points, straight over log rate, is at a rate."""
    share = math.log(kbps / left.total_kbps) / math.log(right.total_kbps / left.total_kbps)
    return left.quality + share * (right.quality - left.quality)
