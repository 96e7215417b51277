from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from common.stream.stats import Samples, Tally, percentile


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_percentile_is_numpys(share: float, count: int) -> None:
    values = sorted(np.random.default_rng(count).normal(size=count).tolist())
    assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))


def test_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 0.5))


def test_summary() -> None:
    samples = Samples()
    assert samples.summary() is None
    for value in range(1, 101):
        samples.add(value)
    assert samples.summary() == {
        "count": 100,
        "mean": 50.5,
        "p50": 50.5,
        "p95": 95.05,
        "p99": 99.01,
        "max": 100,
    }


def test_memory_is_bounded_but_count_mean_and_max_are_of_all() -> None:
    samples = Samples(capacity=10)
    for value in [1000, *range(100)]:
        samples.add(value)
    summary = samples.summary()
    assert (summary["count"], summary["max"]) == (101, 1000)
    assert summary["mean"] == pytest.approx(5950 / 101, abs=1e-3)
    assert summary["p50"] == 94.5


def test_tally_counts_from_many_threads() -> None:
    tally = Tally()
    threads = [threading.Thread(target=lambda: [tally.add("x") for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.add("a", 2)
    assert tally["x"] == 4000 and tally["never"] == 0
    assert tally.total == 4002
    assert list(tally.as_dict().items()) == [("a", 2), ("x", 4000)]
