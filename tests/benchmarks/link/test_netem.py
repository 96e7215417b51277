from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.link.netem import arguments, changes
from benchmarks.link.path import Weather
from benchmarks.link.profiles import Direction, profile


def test_options_of_one_step() -> None:
    weather = Weather(1.0, delay_ms=25, jitter_ms=6, loss=0.002, reorder=0.01)
    assert " ".join(arguments(weather, 4e6, 250_000)) == (
        "netem limit 166 delay 25.000ms 6.000ms loss 0.2000% reorder 1.0000% rate 4000000bit"
    )


def test_a_dead_link_loses_everything() -> None:
    assert arguments(Weather(1.0, delay_ms=5, dead=True), 1e6, 1000) == ["netem", "loss", "100%"]


def test_a_standstill_becomes_a_delay() -> None:
    sky = Weather(0.1, delay_ms=10)
    direction = Direction(((sky, 1e6), (sky, 0.0), (sky, 0.0)), 15_000)
    seen = [(round(at, 1), words[4]) for at, words in islice(changes(direction), 4)]
    assert seen == [(0.0, "10.000ms"), (0.1, "210.000ms"), (0.2, "110.000ms"), (0.3, "10.000ms")]


@pytest.mark.parametrize("name", ["lte", "5g", "starlink", "geo", "64k", "tunnel"])
def test_every_profile_can_be_said_in_netems_words(name: str) -> None:
    for _, words in islice(changes(profile(name, 1).up), 50):
        assert words[0] == "netem"
        assert all(word for word in words)
