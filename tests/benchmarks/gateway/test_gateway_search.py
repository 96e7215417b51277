"""The search for the largest load."""

from __future__ import annotations

import pytest

from benchmarks.gateway.search import largest_held


@pytest.mark.parametrize("limit", [0, 1, 7, 99, 100, 101, 199, 255, 256, 1000])
@pytest.mark.parametrize("step", [1, 10])
@pytest.mark.parametrize("start", [1, 100, 256])
def test_the_largest_load_is_found_with_few_questions(limit: int, step: int, start: int) -> None:
    asked: list[int] = []

    def holds(load: int) -> bool:
        asked.append(load)
        return load <= limit

    found = largest_held(holds, start, 256, step)
    assert found <= min(limit, 256) < found + step or found == min(limit, 256)
    assert len(asked) == len(set(asked)) <= 22
    assert all(1 <= load <= 256 for load in asked)
