"""The operating points of a stream, from the fewest bytes a second to the most, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass

from edge.ratecontrol.signals import NS_PER_S

HIGHEST_QUALITY = 7
START_QUALITY = 4
PRIOR_BYTES = (45, 115, 220, 340, 470, 690, 910, 2420)
"""Packet bytes at each quality before any was seen: a 256x832 street with the shipped bundle, roundly."""
_WEIGHT = 0.15


@dataclass(frozen=True)
class Rung:
    """One operating point: a quality, and one frame in `divisor`."""

    quality: int
    divisor: int = 1


def rungs(lowest: int, highest: int, highest_divisor: int) -> tuple[Rung, ...]:
    """Return the ladder from below: fewer frames at the lowest quality, then every frame at rising quality."""
    thinned = []
    divisor = highest_divisor
    while divisor > 1:
        thinned.append(Rung(lowest, divisor))
        divisor //= 2
    return (*thinned, *(Rung(quality) for quality in range(lowest, highest + 1)))


class FrameSizes:
    """Learn the bytes of a frame at each quality, on the run, with moving averages.

    The main view's bytes are averaged for each quality; a quality not seen yet takes the prior, scaled by how the
    seen ones compare with theirs. The side view (any bytes beside the main view's) does not depend on the quality
    and has one average.
    """

    def __init__(self, prior: tuple[int, ...] = PRIOR_BYTES) -> None:
        if len(prior) != HIGHEST_QUALITY + 1 or min(prior) < 1:
            raise ValueError("the prior needs 8 positive sizes")
        self._prior = prior
        self._main: list[float | None] = [None] * len(prior)
        self._scale = 1.0
        self._other = 0.0
        self._seen = False

    def learn(self, quality: int, total: int, main: int | None = None) -> None:
        """Take the bytes of one frame.

        Args:
            quality: index it was coded at.
            total: all its bytes, side view and headers included.
            main: the packet's alone; None when only the sum is known: then whatever exceeds the size expected of
                the packet is taken for the side view's.
        """
        part = min(total, main if main is not None else round(self._expected_main(quality)))
        known = self._main[quality]
        self._main[quality] = part if known is None else known + _WEIGHT * (part - known)
        self._scale += _WEIGHT * (part / self._prior[quality] - self._scale)
        other = total - part
        self._other += (_WEIGHT if self._seen else 1.0) * (other - self._other)
        self._seen = True

    def expected(self, quality: int) -> float:
        """Return the bytes to expect of a whole frame at `quality`."""
        return self._expected_main(quality) + self._other

    def _expected_main(self, quality: int) -> float:
        known = self._main[quality]
        return self._prior[quality] * self._scale if known is None else known


class Ladder:
    """Price the rungs in bytes a second, from learned frame sizes and the measured frame rate."""

    def __init__(self, sizes: FrameSizes, lowest: int, highest: int, highest_divisor: int) -> None:
        self.sizes = sizes
        self.rungs = rungs(lowest, highest, highest_divisor)
        self._period_s = 0.1
        self._last_ns: int | None = None

    @property
    def period_s(self) -> float:
        """Return the time between captured frames."""
        return self._period_s

    @property
    def top(self) -> int:
        """Return the index of the highest rung."""
        return len(self.rungs) - 1

    def tick(self, now_ns: int) -> None:
        """Note that a frame was captured; a long gap counts as two frame times, as it may be a stall."""
        if self._last_ns is not None:
            gap_s = max((now_ns - self._last_ns) / NS_PER_S, 1e-3)
            self._period_s += 0.1 * (min(gap_s, 2 * self._period_s) - self._period_s)
        self._last_ns = now_ns

    def cost(self, index: int) -> float:
        """Return the bytes a second of a rung; never less than those of the rung below."""
        rung = self.rungs[index]
        cost = self.sizes.expected(rung.quality) / rung.divisor / self._period_s
        return cost if index == 0 or rung.divisor > 1 else max(cost, self.cost(index - 1))

    def index_of(self, quality: int) -> int:
        """Return the rung of every frame at `quality`, or the nearest there is."""
        return min(range(len(self.rungs)), key=lambda i: (abs(self.rungs[i].quality - quality), -i))

    def affordable(self, rate: float) -> int:
        """Return the highest rung that costs at most `rate` bytes a second; the lowest when none does."""
        fitting = [index for index in range(len(self.rungs)) if self.cost(index) <= rate]
        return fitting[-1] if fitting else 0
