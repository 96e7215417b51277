"""Pairing of main and side views by capture time: pure, time comes in as an argument.

Which side view a main frame gets:

    exact     the nearest one, at most the tolerance away
    stale     no such one in time, but an older or newer one at most `max_stale_ns` away
    missing   none at all

A pair that is not plainly exact has a note that says why: the side view was `late` (none came in time), `lost` (later
ones came, and they come in order), or arrived as bytes that do not decode (`corrupt`, `other size`); `skew +n ms`
says that the clocks of the two views differ and that n was added to the side view's (cloud/skew.py).

A main frame waits for its side view until it is certain that no nearer one will come, or its wait is over, or
the side view has ended. Main frames leave in the order they came, since the sinks and the previous-frame
memory of the decoder want them so; a frame that waits holds up those behind it, at most for its own wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from cloud.skew import ClockSkew
from common.types import RgbImage, SideState

Main = TypeVar("Main")

LATE, LOST = "late", "lost"
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
    """Hold one decoded side view.

    Attributes:
        capture_ns: when it was taken.
        image: (H, W, 3) uint8 RGB.
        lossy: it went through a lossy codec, whose traces can be taken out (cloud.restoration).
    """

    capture_ns: int
    image: RgbImage
    lossy: bool = False


@dataclass(frozen=True, eq=False)
class Paired(Generic[Main]):
    """Hold a main frame, the side view it is to be decoded with, and what is to be known of that."""

    main: Main
    side: SideView | None
    state: SideState
    note: str = ""


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
        self._lost: deque[tuple[int, str]] = deque(maxlen=limits.max_side_frames)
        self._unmet: deque[int] = deque(maxlen=limits.max_waiting)  # capture times settled as late
        self._skew = ClockSkew(limits.tolerance_ns, limits.max_stale_ns)
        self._last_side_ns: int | None = None
        self.late_sides = 0
        """Side views that came after their main frame had gone without them."""

    @property
    def waiting(self) -> int:
        """Count the main frames that wait for their side view."""
        return len(self._waiting)

    @property
    def side_bytes(self) -> int:
        """Give the size in bytes of the side views kept."""
        return self._side_bytes

    def add_main(self, main: Main, capture_ns: int, now_ns: int, due_ns: int | None = None) -> Main | None:
        """Take a main frame captured at `capture_ns`; return the oldest one if it had to make room.

        Args:
            main: what to give back with its pair.
            capture_ns: by the rig's clock.
            now_ns: by the receiver's clock.
            due_ns: when the frame becomes useless, by the receiver's clock: pairing takes half of what is left.
        """
        if self._skew.main_arrived(capture_ns, self._last_side_ns):
            self.forget_sides()
        wait_ns = self.limits.wait_ns
        if due_ns is not None:
            wait_ns = min(wait_ns, max(due_ns - now_ns, 0) // 2)
        self._waiting.append(_Waiting(main, capture_ns, now_ns + wait_ns))
        return self._waiting.popleft().main if len(self._waiting) > self.limits.max_waiting else None

    def announce_side(self, capture_ns: int) -> None:
        """Say that a side view is being decoded: its main frame waits however long that takes."""
        self._announced.append(capture_ns)
        self._last_side_ns = capture_ns

    def resolve_side(self, capture_ns: int) -> None:
        """Take an announcement back: the side view was added, or does not decode."""
        self._announced.remove(capture_ns)

    def lose_side(self, capture_ns: int, note: str) -> None:
        """Say that the side view of `capture_ns` arrived and is of no use, and why."""
        self._lost.append((capture_ns + self._skew.ns, note))

    def add_side(self, side: SideView) -> None:
        """Take a side view and forget the oldest ones beyond the limits."""
        if self._skew.ns:
            side = replace(side, capture_ns=side.capture_ns + self._skew.ns)
        self.late_sides += any(self._near(t, side.capture_ns) for t in self._unmet)
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
            over = flush or self._side_ended or self._is_over(head, now_ns)
            if not over and not (nearest is not None and self._certain(nearest, head.capture_ns)):
                break
            self._waiting.popleft()
            ready.append(self._settle(head, nearest))
        return ready

    def next_deadline_ns(self) -> int | None:
        """Return when `take_ready` has to be asked again even if nothing arrives, or None."""
        return self._waiting[0].deadline_ns if self._waiting else None

    def _is_over(self, head: _Waiting[Main], now_ns: int) -> bool:
        """Tell whether nothing is worth waiting for: its side view came and is of no use, or time is up."""
        if self._is_announced(head):
            return False
        return now_ns >= head.deadline_ns or any(self._near(t, head.capture_ns) for t, _ in self._lost)

    def _is_announced(self, head: _Waiting[Main]) -> bool:
        return any(self._near(t + self._skew.ns, head.capture_ns) for t in self._announced)

    def _near(self, one_ns: int, other_ns: int) -> bool:
        return abs(one_ns - other_ns) <= self.limits.tolerance_ns

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
        distance = None if nearest is None else abs(nearest.capture_ns - head.capture_ns)
        if distance is not None and distance <= self.limits.tolerance_ns:
            skew_ms = round(self._skew.ns / 1e6)
            return Paired(head.main, nearest, SideState.EXACT, f"skew {skew_ms:+d} ms" if skew_ms else "")
        note = self._why(head.capture_ns)
        if note == LATE:
            self._unmet.append(head.capture_ns)
        if distance is not None and distance <= self.limits.max_stale_ns:
            return Paired(head.main, nearest, SideState.STALE, note)
        return Paired(head.main, None, SideState.MISSING, note)

    def _why(self, capture_ns: int) -> str:
        """Say why the frame of `capture_ns` goes without its side view; empty where none was to be expected."""
        for lost_ns, note in reversed(self._lost):
            if self._near(lost_ns, capture_ns):
                return note
        if self._last_side_ns is None:
            return "" if self._side_ended else LATE
        newer = self._last_side_ns + self._skew.ns > capture_ns
        return LOST if newer or self._side_ended else LATE
