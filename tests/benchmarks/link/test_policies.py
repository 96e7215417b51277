from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.link.policies import Aim, Fixed, Planned, open_policy, oracle, parse_policy
from benchmarks.link.profiles import Profile, profile
from common.errors import UsageError
from edge.ratecontrol import Decision, RateController

MS = 1_000_000
SIZES = [[100, 200, 300, 400, 500, 700, 900, 1900]]


def constant(tmp_path: Path, every_ms: int) -> Profile:
    """Return a link with an opportunity of 1500 bytes each `every_ms`."""
    file = tmp_path / "flat.up"
    file.write_text(f"{every_ms}\n")
    return profile(f"trace:{file}", 1)


def test_an_oracle_on_a_wide_link_takes_the_best_of_everything(tmp_path: Path) -> None:
    plan = oracle(constant(tmp_path, 1), SIZES, Aim(50, 100 * MS, 500 * MS))
    assert plan == [Decision(7, 1, True)] * 50


def test_an_oracle_does_not_send_what_cannot_arrive(tmp_path: Path) -> None:
    plan = oracle(constant(tmp_path, 2000), SIZES, Aim(100, 100 * MS, 500 * MS))
    sent = [decision.send for decision in plan]
    assert 0 < sum(sent) < 30


def test_an_oracle_keeps_within_its_budget(tmp_path: Path) -> None:
    link = constant(tmp_path, 150)  # 10,000 bytes a second
    plan = oracle(link, SIZES, Aim(200, 100 * MS, 500 * MS))
    capacity, free, bytes_sent = link.up.capacity(), 0, 0
    for number, decision in enumerate(plan):
        if decision.send:
            size = SIZES[0][decision.quality] + 52 * (1 if decision.quality < 7 else 2)
            free = capacity.finish(max(number * 100 * MS, free), size)
            assert free <= number * 100 * MS + 480 * MS
            bytes_sent += size
    assert bytes_sent > 0.8 * link.up.capacity().bytes_between(0, 200 * 100 * MS)


def test_an_oracle_sends_nothing_into_a_tunnel() -> None:
    plan = oracle(profile("tunnel", 1), SIZES, Aim(600, 100 * MS, 500 * MS))
    assert not any(decision.send for decision in plan[200:500])
    assert all(decision.send for decision in plan[505:])


@pytest.mark.parametrize("text", ["", "fixed", "fixed:8", "fixed:x", "best", "auto:3"])
def test_unknown_policies_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="policy"):
        parse_policy(text)


def test_policies_by_name() -> None:
    link, aim = profile("64k", 1), Aim(10, 100 * MS, 500 * MS)
    assert isinstance(open_policy("auto", link, SIZES, aim), RateController)
    assert isinstance(open_policy("oracle", link, SIZES, aim), Planned)
    fixed = open_policy("fixed:3", link, SIZES, aim)
    assert isinstance(fixed, Fixed)
    assert fixed.decide(0) == Decision(3, 1, True)


def test_a_plan_is_followed_and_its_end_repeated() -> None:
    plan = Planned([Decision(1), Decision(2)])
    assert [plan.decide(0).quality for _ in range(4)] == [1, 2, 2, 2]
