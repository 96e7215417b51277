"""The rule against a simulated bottleneck: a first-in, first-out queue of a given rate before a fixed delay."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from common.stream.messages import Hint
from edge.ratecontrol import Decision, Load, RateController, RateRule

MS = 1_000_000
S = 1000 * MS
MAIN = (70, 140, 235, 350, 490, 660, 860, 1800)
PERIOD = 100 * MS


@dataclass
class Bottleneck:
    """Carry frames at `rate(second)` bytes a second; 0 is a standstill."""

    rate: Callable[[float], float]
    trip_ms: float = 50.0
    free_ns: int = 0

    def deliver(self, now: int, size: int) -> int:
        """Return when the ack of a frame sent now comes."""
        at, left = max(now, self.free_ns), float(size)
        while left > 0:
            left -= self.rate(at / S) * 0.005
            at += 5 * MS
        self.free_ns = at
        return at + round(self.trip_ms * MS)


@dataclass
class Run:
    """Every decision with its frame's latency in ms, None when it was not sent."""

    control: RateController
    frames: list[tuple[float, Decision, float | None]] = field(default_factory=list)

    def part(self, begin_s: float, end_s: float) -> list[tuple[float, Decision, float | None]]:
        return [frame for frame in self.frames if begin_s <= frame[0] < end_s]

    def latencies(self, begin_s: float, end_s: float) -> list[float]:
        return [wait for _, _, wait in self.part(begin_s, end_s) if wait is not None]

    def mean_quality(self, begin_s: float, end_s: float) -> float:
        sent = [decision.quality for _, decision, wait in self.part(begin_s, end_s) if wait is not None]
        return sum(sent) / len(sent)

    def sent_share(self, begin_s: float, end_s: float) -> float:
        part = self.part(begin_s, end_s)
        return sum(wait is not None for *_, wait in part) / len(part)


def simulate(link: Bottleneck, seconds: float, side: int = 0, control: RateController | None = None) -> Run:
    """Run 10 frames a second over a link."""
    run = Run(control or RateController())
    acks: list[tuple[int, int]] = []
    for number in range(round(seconds * 10)):
        now = number * PERIOD
        while acks and acks[0][0] <= now:
            at, seq = heapq.heappop(acks)
            run.control.on_ack(at, seq)
        decision = run.control.decide(now, Load())
        wait = None
        if decision.send:
            packet = MAIN[decision.quality]
            size = packet + side + 60
            run.control.on_sent(now, number, size, quality=decision.quality, main_bytes=packet)
            at = link.deliver(now, size)
            heapq.heappush(acks, (at, number))
            wait = (at - now) / MS
        run.frames.append((now / S, decision, wait))
    return run


def test_a_free_link_gets_every_frame_at_the_highest_quality() -> None:
    run = simulate(Bottleneck(lambda _: 1e6), 30, side=5000)
    assert run.frames[0][1] == Decision(4, 1, True)
    assert run.mean_quality(10, 30) == 7
    assert run.sent_share(0, 30) == 1
    assert max(run.latencies(0, 30)) < 120


@pytest.mark.parametrize(("rate", "least", "most"), [(3000, 0.9, 2.2), (6000, 3.0, 4.5), (12_000, 5.0, 6.6)])
def test_quality_settles_at_what_a_narrow_link_carries(rate: float, least: float, most: float) -> None:
    run = simulate(Bottleneck(lambda _: rate), 90)
    assert least < run.mean_quality(20, 90) < most
    waits = sorted(run.latencies(20, 90))
    assert waits[int(0.95 * len(waits))] < 600
    assert run.sent_share(20, 90) > 0.85


def test_below_the_lowest_quality_the_frame_rate_falls() -> None:
    run = simulate(Bottleneck(lambda _: 20_000), 120, side=9000)  # one frame takes 0.46 s
    assert 0.12 < run.sent_share(20, 120) < 0.25
    assert {decision.quality for _, decision, wait in run.part(20, 120) if wait is not None} <= {0, 1}
    waits = sorted(run.latencies(20, 120))
    assert waits[int(0.9 * len(waits))] < 1300


def test_it_follows_a_link_that_gets_worse_and_better() -> None:
    run = simulate(Bottleneck(lambda at: 4000 if 20 <= at < 50 else 40_000), 80)
    assert run.mean_quality(10, 20) > 6.5
    assert 1.5 < run.mean_quality(25, 50) < 4.5
    assert max(run.latencies(25, 50)) < 1500
    assert run.mean_quality(60, 80) > 6.5


def test_an_outage_queues_little_and_is_over_within_two_seconds() -> None:
    run = simulate(Bottleneck(lambda at: 0 if 20 <= at < 50 else 200_000), 70, side=9000)
    assert run.sent_share(21, 50) == 0  # nothing behind what is stuck
    assert len(run.latencies(20, 21)) < 9
    assert run.sent_share(52, 54) > 0.9
    assert run.mean_quality(53, 70) > 6.5
    assert max(run.latencies(51, 70)) < 250


def test_a_short_stall_costs_no_quality_for_long() -> None:
    run = simulate(Bottleneck(lambda at: 0 if 20 <= at < 20.5 else 200_000), 30, side=9000)
    assert run.mean_quality(22.5, 30) > 6.5
    assert run.sent_share(22.5, 30) == 1


def test_a_long_way_is_no_congestion() -> None:
    run = simulate(Bottleneck(lambda _: 1e6, trip_ms=600), 30)
    assert run.mean_quality(12, 30) == 7
    assert run.sent_share(0, 30) == 1


def test_time_in_the_cloud_is_not_held_against_the_network() -> None:
    control = RateController()
    for number in range(100):
        now = number * PERIOD
        if number >= 9:
            control.on_ack(now, number - 9, cloud_ms=850.0)
        decision = control.decide(now)
        assert decision.send
        control.on_sent(now, number, 500, quality=decision.quality, main_bytes=400)
    assert control.quality == 7


def test_hints_of_the_cloud_thin_the_frames_out() -> None:
    control = RateController()
    decisions = []
    for number in range(60):
        if number % 2 == 0:
            control.on_hint(number * PERIOD, Hint(900.0, 40, 64))
        decisions.append(control.decide(number * PERIOD))
        if decisions[-1].send:
            control.on_sent(number * PERIOD, number, 500)
            control.on_ack(number * PERIOD + 30 * MS, number)
    assert decisions[-1].frame_divisor == 16
    assert sum(decision.send for decision in decisions[-32:]) == 2


def test_the_window_of_a_hint_holds_frames_back() -> None:
    control = RateController()
    control.on_hint(0, Hint(0.0, 0, 2))
    sent = 0
    for number in range(3):
        if control.decide(number * MS).send:
            control.on_sent(number * MS, number, 100)
            sent += 1
    assert sent == 2


def test_a_new_connection_forgets_what_was_under_way() -> None:
    control = RateController()
    for number in range(5):
        control.on_sent(number * PERIOD, number, 9000)
    assert not control.decide(5 * S).send
    control.on_reset(5 * S)
    assert control.decide(5 * S + PERIOD).send


def test_thinning_is_even() -> None:
    control = RateController(RateRule(highest_divisor=4))
    run = simulate(Bottleneck(lambda _: 6_500), 60, side=2000, control=control)
    gaps, last = [], None
    for number, (at, decision, wait) in enumerate(run.frames):
        if at >= 30 and wait is not None and decision.frame_divisor == 4:
            gaps += [] if last is None else [number - last]
            last = number
    assert gaps
    assert min(gaps) >= 2


# --- told of nothing but the load ---------------------------------------------------------------------------

CLEAR, FULL, LAGGING = Load(0, 16, 0.0), Load(16, 16, 0.0), Load(0, 16, 1500.0)


def follow(control: RateController, load: Load, begin_ms: int, end_ms: int) -> int:
    for now in range(begin_ms, end_ms, 100):
        control.update(now * MS, load)
    return control.quality


@pytest.mark.parametrize("load", [FULL, LAGGING, Load(4, 16, 0.0)])
def test_load_alone_lowers_the_quality_step_by_step(load: Load) -> None:
    control = RateController(start=6)
    first = control.update(0, load)
    assert first < 6
    assert control.update(100 * MS, load) == first
    assert follow(control, load, 200, 5000) == 0


def test_a_clear_load_raises_the_quality_again() -> None:
    control = RateController(start=6)
    follow(control, FULL, 0, 3000)
    assert follow(control, CLEAR, 3000, 30_000) == 7


def test_never_below_the_lowest() -> None:
    assert follow(RateController(RateRule(lowest=2)), FULL, 0, 20_000) == 2


@pytest.mark.parametrize(("start", "want"), [(99, 7), (-3, 0), (5, 5)])
def test_start_is_kept_within_bounds(start: int, want: int) -> None:
    assert RateController(start=start).quality == want


def test_several_threads_may_call_it() -> None:
    control, errors = RateController(), []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 2000):
                control.on_sent(number * MS, number, 500)
                control.decide(number * MS)
                control.on_ack((number + 1) * MS, number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(10_000 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
