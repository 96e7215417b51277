from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.link.profiles import PROFILES, profile
from common.errors import InputError, UsageError

S = 1_000_000_000


def mean_kbit(name: str, seed: int = 1) -> float:
    return profile(name, seed).up.capacity().bytes_between(0, 300 * S) * 8 / 300 / 1000


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_made_and_is_seeded(name: str) -> None:
    first, again = profile(name, 7), profile(name, 7)
    assert first == again
    assert first.name == name
    assert mean_kbit(name) > 0
    assert first.up.path(1).push(0, b"x")[0] is None


@pytest.mark.parametrize("name", ["lte", "5g", "starlink"])
def test_another_seed_gives_another_link(name: str) -> None:
    assert profile(name, 1).up != profile(name, 2).up


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("lte", 2500, 6000), ("5g", 25_000, 60_000), ("64k", 63.9, 64.1), ("geo", 1499, 1501)],
)
def test_rates_are_what_the_text_says(name: str, least: float, most: float) -> None:
    assert least < mean_kbit(name) < most


def test_starlink_hands_over_every_15_seconds() -> None:
    steps = profile("starlink", 3).up.steps
    assert all(
        steps[i][0].seconds + steps[i + 1][0].seconds == pytest.approx(15) for i in range(0, len(steps), 2)
    )
    assert all(rate == 0 for _, rate in steps[::2])
    assert len({weather.delay_ms for weather, _ in steps}) == len(steps) // 2


def test_the_tunnel_is_dark_for_30_seconds() -> None:
    forecast = profile("tunnel", 1).up.forecast()
    dead = [second for second in range(120) if forecast.at(second * S).dead]
    assert dead == list(range(20, 50))


def test_a_trace_by_name_or_by_option(tmp_path: Path) -> None:
    file = tmp_path / "some.up"
    file.write_text("1\n")
    by_name, by_option = profile(f"trace:{file}", 1), profile("trace", 1, file)
    assert by_name == by_option
    assert by_name.name == "trace:some.up"
    assert by_name.up.capacity().bytes_between(0, S) == pytest.approx(1_500_000, rel=0.01)


@pytest.mark.parametrize(("name", "trace"), [("nonsense", None), ("trace", None), ("lte", "x.up")])
def test_wrong_names_are_refused(name: str, trace: str | None) -> None:
    with pytest.raises(UsageError):
        profile(name, 1, None if trace is None else Path(trace))


def test_a_missing_trace_is_refused() -> None:
    with pytest.raises(InputError):
        profile("trace:/nowhere/x.up", 1)
