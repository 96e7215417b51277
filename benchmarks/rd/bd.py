"""Two curves, one number: BD-quality (the paper's eq. 37) and BD-rate (Bjøntegaard), or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = Sequence[tuple[float, float]]
"""Points (rate in bpp, metric)."""


@dataclass(frozen=True)
class Difference:
    """Hold a Bjøntegaard difference or the reason why there is none.

    Attributes:
        value: the number; None when it cannot be had.
        low: start of the range it covers (bpp for BD-quality, the metric for BD-rate).
        high: end of that range.
        why: the reason when `value` is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for a JSON file."""
        return asdict(self)


def bd_quality(ours: Curve, other: Curve, higher_is_better: bool) -> Difference:
    """Return the mean gain of `ours` over `other` at equal rate; positive is better, whatever the metric.

    BD = 1/(r2 - r1) * integral from r1 to r2 of [D_ours(r) - D_other(r)] dr over the common rates (supplement, eq.
    37), the sign turned for metrics where less is better, each curve interpolated over rate by a piecewise
    cubic (PCHIP, which cannot overshoot between points that lie far apart).
    """
    first, second = _by_rate(ours), _by_rate(other)
    if min(len(first), len(second)) < 2:
        return Difference(None, why=f"too few points ({len(first)} and {len(second)}; two are needed)")
    low = max(first[0, 0], second[0, 0])
    high = min(first[-1, 0], second[-1, 0])
    if high <= low:
        return Difference(None, why=f"no common rates: {_span(first[:, 0])} and {_span(second[:, 0])} bpp")
    gap = (_integral(first, low, high) - _integral(second, low, high)) / (high - low)
    return Difference(gap if higher_is_better else -gap, low, high)


def bd_rate(ours: Curve, other: Curve, higher_is_better: bool) -> Difference:
    """Return the mean difference in rate of `ours` to `other` at equal quality in per cent; less is better.

    The logarithm of the rate is interpolated over the metric (PCHIP) and averaged over the common range.
    Points that cost more than another one without being better are left out: rate is no function of quality
    there.
    """
    first, second = _frontier(ours, higher_is_better), _frontier(other, higher_is_better)
    if min(len(first), len(second)) < 2:
        why = f"too few points that improve with rate ({len(first)} and {len(second)}; two are needed)"
        return Difference(None, why=why)
    low = max(first[0, 0], second[0, 0])
    high = min(first[-1, 0], second[-1, 0])
    if high <= low:
        return Difference(None, why=f"no common quality: {_span(first[:, 0])} and {_span(second[:, 0])}")
    gap = (_integral(first, low, high) - _integral(second, low, high)) / (high - low)
    return Difference(100.0 * (float(np.exp(gap)) - 1.0), low, high)


def _by_rate(curve: Curve) -> NDArray[np.float64]:
    """Return the points sorted by rate, (N, 2), one a rate (their mean where several share it)."""
    points = np.array(sorted(curve), dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    rates, group = np.unique(points[:, 0], return_inverse=True)
    values = np.bincount(group, weights=points[:, 1], minlength=len(rates)) / np.bincount(
        group, minlength=len(rates)
    )
    return np.stack([rates, values], axis=1)


def _frontier(curve: Curve, higher_is_better: bool) -> NDArray[np.float64]:
    """Return the points (metric, log rate) that no cheaper point equals, sorted by metric, (N, 2)."""
    kept: list[tuple[float, float]] = []
    best = -np.inf
    for rate, value in _by_rate(curve):
        goodness = value if higher_is_better else -value
        if rate > 0 and goodness > best:
            best = goodness
            kept.append((value, float(np.log(rate))))
    return np.array(sorted(kept), dtype=np.float64).reshape(-1, 2)


def _integral(points: NDArray[np.float64], low: float, high: float) -> float:
    from scipy.interpolate import PchipInterpolator

    return float(PchipInterpolator(points[:, 0], points[:, 1]).integrate(low, high))


def _span(values: NDArray[np.float64]) -> str:
    return f"{values.min():.4g}..{values.max():.4g}"
