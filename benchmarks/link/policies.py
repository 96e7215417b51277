"""Who chooses each frame's quality in a run: the rate controller, nobody, or one who knows the link."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.link.capacity import NS_PER_MS
from benchmarks.link.profiles import Profile
from common.errors import UsageError
from edge.ratecontrol import HIGHEST_QUALITY, Decision, Load, RateController

SEGMENT_BYTES, HEADER_BYTES = 1448, 52
"""Payload of a full TCP segment at MTU 1500 with timestamps, and the headers of TCP and IP around it."""


class Policy(Protocol):
    """What the sender asks for each captured frame."""

    def decide(self, now_ns: int, load: Load | None = None) -> Decision:
        """Return what to do with the next frame."""


class Fixed:
    """Every frame at one quality."""

    def __init__(self, quality: int) -> None:
        self._decision = Decision(quality)

    def decide(self, now_ns: int, load: Load | None = None) -> Decision:
        """Return the same for every frame."""
        return self._decision


class Planned:
    """Follow decisions made beforehand, one a frame."""

    def __init__(self, plan: Sequence[Decision]) -> None:
        self._plan = plan
        self._next = 0

    def decide(self, now_ns: int, load: Load | None = None) -> Decision:
        """Return the next planned decision; the last one again at the end."""
        index = min(self._next, len(self._plan) - 1)
        self._next += 1
        return self._plan[index]


@dataclass(frozen=True)
class Aim:
    """What the oracle plans for: `frames` of them, `period_ns` apart, each to arrive within `budget_ns`."""

    frames: int
    period_ns: int
    budget_ns: int


def oracle(link: Profile, sizes: Sequence[Sequence[int]], aim: Aim) -> list[Decision]:
    """Plan for a link whose capacity is known in advance.

    Frame by frame, the highest quality with which the frame is through within the budget and the next one could
    still be, at the lowest quality; a frame that cannot be is not sent. It knows the capacity and the delay, not
    which packets get lost.

    Args:
        link: the link.
        sizes: bytes on the connection of each frame at each quality; repeated.
        aim: see `Aim`.
    """
    capacity = link.up.capacity()
    weather = [item for item, _ in link.up.steps]
    delay_ns = round(max(item.delay_ms for item in weather) * NS_PER_MS)
    forecast = link.up.forecast()
    plan, free = [], 0  # `free`: when the queue is empty again

    def through(start: int, size: int) -> int:
        return copy.copy(capacity).finish(start, _on_link(size))

    for number in range(aim.frames):
        captured = number * aim.period_ns
        row, following = sizes[number % len(sizes)], sizes[(number + 1) % len(sizes)]
        latest = captured + aim.budget_ns - delay_ns
        start = max(captured, free)
        chosen = -1
        if not forecast.at(captured).dead and start <= latest:
            fitting = [q for q, size in enumerate(row) if through(start, size) <= latest]
            for quality in reversed(fitting):
                done = through(start, row[quality])
                then = through(max(done, captured + aim.period_ns), following[0])
                if then <= latest + aim.period_ns:
                    chosen = quality
                    break
            if fitting and chosen < 0:
                chosen = 0
        if chosen >= 0:
            free = capacity.finish(start, _on_link(row[chosen]))
        plan.append(Decision(max(chosen, 0), 1, chosen >= 0))
    return plan


def _on_link(size: int) -> int:
    """Return what bytes of a connection take on the link, in full segments."""
    return size + -(-size // SEGMENT_BYTES) * HEADER_BYTES


def parse_policy(text: str) -> int | None:
    """Return the quality of `fixed:Q`, or None for `auto` and `oracle`.

    Raises:
        UsageError: neither.
    """
    if text in ("auto", "oracle"):
        return None
    name, _, number = text.partition(":")
    if name == "fixed" and number.isascii() and number.isdigit() and int(number) <= HIGHEST_QUALITY:
        return int(number)
    raise UsageError(f"policy {text!r} is not auto, oracle or fixed:0..{HIGHEST_QUALITY}")


def open_policy(text: str, link: Profile, sizes: Sequence[Sequence[int]], aim: Aim) -> Policy:
    """Return the policy of that name.

    Raises:
        UsageError: no such policy.
    """
    quality = parse_policy(text)
    if quality is not None:
        return Fixed(quality)
    return RateController() if text == "auto" else Planned(oracle(link, sizes, aim))
