from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.datasets.timestamps import frame_rate, parse_timestamp, read_timestamps, repair


def test_dates_keep_their_nanoseconds() -> None:
    assert parse_timestamp("1970-01-01 00:00:01.000000001") == 1_000_000_001
    assert parse_timestamp("2011-09-26 13:08:24.967930880") == 1317042504_967930880
    assert parse_timestamp("2011-09-26T13:08:24.5") == 1317042504_500000000


def test_seconds() -> None:
    assert parse_timestamp(" 1.036600e-01 ") == 103_660_000
    assert parse_timestamp("0") == 0


@pytest.mark.parametrize("text", ["", "frame 7", "nan", "inf", "-1.0", "1e30", "2011-13-26 13:08:24.9"])
def test_what_is_no_time(text: str) -> None:
    assert parse_timestamp(text) is None


def test_reading_keeps_the_place_of_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("0.0\n\nodd\n0.3\n\n\n")
    assert read_timestamps(tmp_path / "t.txt") == [0, None, None, 300_000_000]
    assert read_timestamps(tmp_path / "missing.txt") == []


def test_rate_is_that_of_the_usual_step() -> None:
    assert frame_rate([0, 100, 200, 1200, 1300, 1400]) == 1e7
    assert frame_rate([], 12.5) == frame_rate([5, None], 12.5) == 12.5


def test_repair_fills_between_and_at_the_ends() -> None:
    second = 1_000_000_000
    assert repair([None, 2 * second, None, 4 * second, None], 2) == [
        1.5 * second,
        *(n * second for n in (2, 3, 4)),
        4.5e9,
    ]
    assert repair([None] * 3, 10) == [0, 100_000_000, 200_000_000]


def test_repair_drops_the_one_that_is_wrong() -> None:
    assert repair([0, 10**12, 200, 300], 1e7) == [0, 100, 200, 300]
    assert repair([100, 200, 50, 400], 1e7) == [100, 200, 300, 400]


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**18), st.integers(0, 50)), max_size=30))
def test_repaired_times_increase_and_are_never_negative(times: list[int | None]) -> None:
    repaired = repair(times, 10.0)
    assert len(repaired) == len(times)
    assert all(a < b for a, b in pairwise(repaired))
    assert all(time >= 0 for time in repaired)
