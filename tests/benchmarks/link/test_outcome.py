from __future__ import annotations

from typing import Any

import pytest

from benchmarks.link.capacity import SteppedCapacity
from benchmarks.link.outcome import Terms, outcome, series, table

LINK = SteppedCapacity([(1.0, 80_000.0)])  # 10,000 bytes a second
TERMS = Terms(2.0, 2.0, 1000)
LOG: dict[str, Any] = {
    "rows": [
        [0, 7, 1, 1000, 1.0, 100.0, "decoded"],
        [1, 3, 1, 500, 1.0, 1500.0, "decoded"],
        [2, 0, 2, 0, None, None, "thinned"],
        [3, 3, 1, 500, 2.0, 300.0, "decoded"],
    ],
    "connections": {"opened": 1},
    "notices": [],
}
LEDGERS: dict[str, Any] = {
    "up": {
        "drops": {"lost": 2},
        "late_ms": None,
        "bins": {"left": [500] * 20 + [9999], "backlog": [7] * 20, "offered": [], "dropped": []},
    },
    "down": {"drops": {}, "late_ms": None, "bins": {}},
}


def test_what_counts() -> None:
    result = outcome(LOG, LEDGERS, LINK, TERMS)
    assert (result["captured"], result["sent"], result["delivered"], result["in_time"], result["late"]) == (
        4,
        3,
        3,
        2,
        1,
    )
    assert result["in_time_share"] == 0.5
    assert result["mean_quality"] == 5.0
    assert result["delivered_quality"] == pytest.approx((8 + 4) / 4)
    assert result["not_delivered"] == {"thinned": 1}
    assert result["quality_counts"] == {"3": 1, "7": 1}
    assert result["latency_ms"] == {"p50": 300.0, "p95": 1380.0, "p99": 1476.0, "max": 1500.0}
    assert result["in_time_bytes_s"] == 750.0
    assert result["link"]["utilisation"] == pytest.approx(10_000 / 20_000)
    assert result["link"]["packet_drops"] == {"up": {"lost": 2}, "down": {}}


def test_a_run_that_delivered_nothing() -> None:
    log = {**LOG, "rows": [[0, 4, 1, 0, None, None, "late_before_sending"]]}
    result = outcome(log, None, LINK, TERMS)
    assert result["latency_ms"] is None
    assert result["mean_quality"] is None
    assert result["link"] is None
    assert "| – |" in table({"auto": result})


def test_series_second_by_second() -> None:
    seen = series(LOG, LEDGERS, LINK, TERMS)
    assert seen["could_kbit"] == [80, 80]
    assert seen["carried_kbit"] == [40, 40]
    assert seen["frames"][2] == [1.0, 0, 2, None]


def test_table() -> None:
    lines = table({"auto": outcome(LOG, LEDGERS, LINK, TERMS)}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| auto | 75 % | 50.0 % | 1 | 5.00 | 3.00 | 300 | 1380 | 1476 | 50 % | 2 |"
