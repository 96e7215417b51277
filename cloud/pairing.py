"""Pairing of main and side views by capture time: pure, time comes in as an argument.

Which side view a main frame gets:

    exact     the nearest one, at most the tolerance away
    stale     no such one in time, but an older or newer one at most `max_stale_ns` away
    missing   none at all

A main frame waits for its side view until it is certain that no nearer one will come, or its wait is over, or
the side view has ended. Main frames leave in the order they came, since the sinks and the previous-frame
memory of the decoder want them so; a frame that waits holds up those behind it, at most for its own wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.types import RgbImage, SideState

Main = TypeVar("Main")

_CERTAIN_SHARE = 2
"""A side view closer than this part of the interval between side views has no nearer successor."""


@dataclass(frozen=True)
class PairingLimits:
    """Bound how long pairing waits and how much it keeps.

    Attributes:
        tolerance_ns: largest distance in capture time of an exact pair.
        wait_ns: longest time a main frame waits for its side view after it arrived.
        max_stale_ns: largest distance in capture time of a stale side view worth using.
        max_waiting: main frames waiting at most; the oldest is given up beyond.
        max_side_frames: side views kept at most.
        max_side_bytes: pixels of side views kept at most, in bytes (the newest one always stays).
    """

    tolerance_ns: int = 50_000_000
    wait_ns: int = 500_000_000
    max_stale_ns: int = 2_000_000_000
    max_waiting: int = 256
    max_side_frames: int = 32
    max_side_bytes: int = 256 << 20


@dataclass(frozen=True, eq=False)
class SideView:
    """Hold one decoded side view: capture time in ns and (H, W, 3) uint8 RGB."""

    capture_ns: int
    image: RgbImage


@dataclass(frozen=True, eq=False)
class Paired(Generic[Main]):
    """Hold a main frame and the side view it is to be decoded with."""

    main: Main
    side: SideView | None
    state: SideState


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[Main]):
    main: Main
    capture_ns: int
    deadline_ns: int


class Pairer(Generic[Main]):
    """Pair the two views of one vehicle; bounded in frames and bytes."""

    def __init__(self, limits: PairingLimits) -> None:
        self.limits = limits
        self._waiting: deque[_Waiting[Main]] = deque()
        self._sides: list[SideView] = []  # by capture time
        self._side_bytes = 0
        self._announced: list[int] = []
        self._side_ended = False
        self._interval_ns: int | None = None

    @property
    def waiting(self) -> int:
        """Count the main frames that wait for their side view."""
        return len(self._waiting)

    @property
    def side_bytes(self) -> int:
        """Give the size in bytes of the side views kept."""
        return self._side_bytes

    def add_main(self, main: Main, capture_ns: int, now_ns: int) -> Main | None:
        """Take a main frame captured at `capture_ns`; return the oldest one if it had to make room."""
        self._waiting.append(_Waiting(main, capture_ns, now_ns + self.limits.wait_ns))
        return self._waiting.popleft().main if len(self._waiting) > self.limits.max_waiting else None

    def announce_side(self, capture_ns: int) -> None:
        """Say that a side view is being decoded: its main frame waits however long that takes."""
        self._announced.append(capture_ns)

    def resolve_side(self, capture_ns: int) -> None:
        """Take an announcement back: the side view was added, or does not decode."""
        self._announced.remove(capture_ns)

    def add_side(self, side: SideView) -> None:
        """Take a side view and forget the oldest ones beyond the limits."""
        if self._sides and side.capture_ns < self._sides[-1].capture_ns:
            if self._sides[-1].capture_ns - side.capture_ns > self.limits.max_stale_ns:
                self.forget_sides()  # the rig's clock went back: what came before belongs to another time
            else:
                self._insert(side)
                return
        elif self._sides and side.capture_ns > self._sides[-1].capture_ns:
            self._interval_ns = side.capture_ns - self._sides[-1].capture_ns
        self._insert(side)

    def _insert(self, side: SideView) -> None:
        at = len(self._sides)
        while at and self._sides[at - 1].capture_ns > side.capture_ns:
            at -= 1
        self._sides.insert(at, side)
        self._side_bytes += side.image.nbytes
        while len(self._sides) > 1 and (
            len(self._sides) > self.limits.max_side_frames or self._side_bytes > self.limits.max_side_bytes
        ):
            self._side_bytes -= self._sides.pop(0).image.nbytes

    def forget_sides(self) -> None:
        """Forget every side view, as when the rig's clock was set."""
        self._sides.clear()
        self._side_bytes = 0
        self._interval_ns = None

    def set_side_ended(self, ended: bool) -> None:
        """Say whether side views can still come; without, nothing waits for them."""
        self._side_ended = ended

    def take_ready(self, now_ns: int, flush: bool = False) -> list[Paired[Main]]:
        """Return the main frames whose side view is settled at `now_ns`, in order of arrival.

        Args:
            now_ns: the same monotonic clock as `add_main`.
            flush: settle every frame with what is there.
        """
        ready: list[Paired[Main]] = []
        while self._waiting:
            head = self._waiting[0]
            nearest = self._nearest(head.capture_ns)
            over = flush or self._side_ended or (now_ns >= head.deadline_ns and not self._is_announced(head))
            if not over and not (nearest is not None and self._certain(nearest, head.capture_ns)):
                break
            self._waiting.popleft()
            ready.append(self._settle(head, nearest))
        return ready

    def next_deadline_ns(self) -> int | None:
        """Return when `take_ready` has to be asked again even if nothing arrives, or None."""
        return self._waiting[0].deadline_ns if self._waiting else None

    def _is_announced(self, head: _Waiting[Main]) -> bool:
        return any(abs(t - head.capture_ns) <= self.limits.tolerance_ns for t in self._announced)

    def _nearest(self, capture_ns: int) -> SideView | None:
        return min(self._sides, key=lambda side: abs(side.capture_ns - capture_ns), default=None)

    def _certain(self, nearest: SideView, capture_ns: int) -> bool:
        """Tell whether no side view still to come can be nearer than `nearest`."""
        distance = abs(nearest.capture_ns - capture_ns)
        newest = self._sides[-1].capture_ns
        if newest - capture_ns >= distance:
            return True  # side views come in capture order, so each later one is farther still
        if distance > self.limits.tolerance_ns:
            return False
        return self._interval_ns is not None and _CERTAIN_SHARE * distance <= self._interval_ns

    def _settle(self, head: _Waiting[Main], nearest: SideView | None) -> Paired[Main]:
        if nearest is None:
            return Paired(head.main, None, SideState.MISSING)
        distance = abs(nearest.capture_ns - head.capture_ns)
        if distance <= self.limits.tolerance_ns:
            return Paired(head.main, nearest, SideState.EXACT)
        if distance <= self.limits.max_stale_ns:
            return Paired(head.main, nearest, SideState.STALE)
        return Paired(head.main, None, SideState.MISSING)
