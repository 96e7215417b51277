from __future__ import annotations

import pytest

from benchmarks.link.capacity import SteppedCapacity
from benchmarks.link.path import LOST, OUTAGE, QUEUE_FULL, Forecast, Path, Weather

MS, S = 1_000_000, 1_000_000_000


def path(*weather: Weather, rate: float = 8e6, limit: int = 100_000, seed: int = 1) -> Path:
    return Path(SteppedCapacity([(1.0, rate)]), Forecast(weather), limit, seed)


def test_a_packet_leaves_after_its_size_and_arrives_after_the_delay() -> None:
    link = path(Weather(1.0, delay_ms=20))
    assert link.push(0, bytes(1000)) == (None, 1 * MS)
    assert link.next_ns == 21 * MS
    assert link.pop(20 * MS) == []
    assert link.pop(22 * MS) == [(21 * MS, bytes(1000))]
    assert link.next_ns is None


def test_packets_queue_behind_each_other() -> None:
    link = path(Weather(1.0))
    assert [link.push(0, bytes(1000))[1] for _ in range(3)] == [1 * MS, 2 * MS, 3 * MS]
    assert link.backlog(0) == 3000
    assert link.backlog(2 * MS) == 1000
    assert link.backlog(3 * MS) == 0


def test_a_full_queue_drops_what_comes_last() -> None:
    link = path(Weather(1.0), limit=2500)
    assert [link.push(0, bytes(1000))[0] for _ in range(3)] == [None, None, QUEUE_FULL]
    assert link.push(1 * MS, bytes(1000))[0] is None
    assert len(link.pop(S)) == 3


def test_nothing_enters_a_dead_link_and_what_is_inside_comes_out() -> None:
    link = path(Weather(1.0, delay_ms=10), Weather(1.0, dead=True))
    assert link.push(S - MS, b"a")[0] is None
    assert link.push(S, b"b")[0] == OUTAGE
    assert link.push(2 * S, b"c")[0] is None
    assert [packet for _, packet in link.pop(3 * S)] == [b"a", b"c"]


def test_loss_is_seeded() -> None:
    def losses(seed: int) -> list[int]:
        link = path(Weather(1.0, loss=0.1), seed=seed, limit=10**9)
        return [n for n in range(2000) if link.push(n * MS, bytes(100))[0] == LOST]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    assert 140 < len(losses(1)) < 260


def test_jitter_keeps_the_order() -> None:
    link = path(Weather(1.0, delay_ms=20, jitter_ms=10))
    for number in range(200):
        link.push(number * MS, bytes([number]))
    arrived = link.pop(10 * S)
    assert [packet[0] for _, packet in arrived] == list(range(200))
    waits = [due - number * MS for number, (due, _) in enumerate(arrived)]
    assert min(waits) >= 20 * MS
    assert len({wait // MS for wait in waits}) > 5


def test_reordered_packets_are_overtaken() -> None:
    link = path(Weather(1.0, delay_ms=5, reorder=0.1, reorder_ms=5))
    for number in range(200):
        link.push(number * MS, bytes([number]))
    order = [packet[0] for _, packet in link.pop(10 * S)]
    assert sorted(order) == list(range(200))
    assert order != list(range(200))


def test_before_the_beginning_only_the_delay_counts() -> None:
    link = path(Weather(1.0, delay_ms=20, loss=1.0), rate=8.0)
    assert link.push(-S, bytes(60_000)) == (None, -S)
    assert link.next_ns == -S + 20 * MS


def test_weather_repeats() -> None:
    forecast = Forecast([Weather(1.0, delay_ms=1), Weather(2.0, delay_ms=2)])
    assert [forecast.at(second * S).delay_ms for second in (-1, 0, 1, 2, 3, 4)] == [1, 1, 2, 2, 1, 2]


def test_no_weather_is_refused() -> None:
    with pytest.raises(ValueError, match="weather"):
        Forecast([Weather(0.0)])
