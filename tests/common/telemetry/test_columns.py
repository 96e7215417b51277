"""common.telemetry.columns: columns come back, alike ones are short, foreign bytes are one error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CorruptPayload
from common.telemetry.columns import pack_columns, unpack_columns
from common.telemetry.numbers import MAX_MANTISSA, Number

numbers = st.builds(Number, st.integers(-MAX_MANTISSA // 1000, MAX_MANTISSA // 1000), st.integers(0, 40))


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 5))
    # One number of decimals a column: predictions across very different ones may leave the format's bounds.
    columns = []
    for _ in range(draw(st.integers(1, 4))):
        decimals = draw(st.integers(0, 20))
        cells = draw(st.lists(st.integers(-(10**20), 10**20), min_size=rows, max_size=rows))
        columns.append([Number(cell, decimals) for cell in cells])
    return columns


@given(tables())
def test_columns_come_back(columns):
    data = pack_columns(columns, scaled=True)
    found, end = unpack_columns(b"head" + data + b"tail", 4, len(columns), len(columns[0]), scaled=True)
    assert found == columns and end == 4 + len(data)


def test_decimals_may_change_within_a_column():
    column = [Number(12345, 3), Number(123, 1), Number(0, 0), Number(-5, 7)]
    assert unpack_columns(pack_columns([column], True), 0, 1, 4, True)[0] == [column]


@given(st.lists(numbers, min_size=1, max_size=8))
def test_even_wild_columns_come_back(column):
    assert unpack_columns(pack_columns([column], True), 0, 1, len(column), True)[0] == [column]


def test_whole_numbers_need_no_decimals():
    column = [Number(3), Number(5), Number(7)]
    with_decimals, without = pack_columns([column], True), pack_columns([column], False)
    assert len(without) == len(with_decimals) - 3
    assert unpack_columns(without, 0, 1, 3, False)[0] == [column]


def test_a_straight_line_costs_nothing_after_its_second_value():
    line = [Number(10**9 + 1000 * i) for i in range(20)]
    noise = [Number(10**9 * (i % 3)) for i in range(20)]
    assert len(pack_columns([line], False)) < 1 + 20 + 8 < len(pack_columns([noise], False))


@given(st.binary(max_size=60), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_foreign_bytes_are_columns_or_one_error(data, columns, rows, scaled):
    try:
        found, end = unpack_columns(data, 0, columns, rows, scaled)
    except CorruptPayload:
        return
    assert end <= len(data) and all(number.valid for column in found for number in column)


@pytest.mark.parametrize(
    ("data", "rows", "scaled", "why"),
    [
        (b"", 1, False, "cut short"),
        (b"\x02\x01", 1, False, "cut short"),
        (b"\x03\x00\x00", 2, False, "unknown predictor"),
        (b"\x19" + bytes(25), 1, False, "too many digits"),
        (b"\x18" + b"\xff" * 24, 1, False, "too many digits"),
        (b"\x29\x00", 1, True, "41 decimals"),
    ],
)
def test_the_errors_say_what_is_wrong(data, rows, scaled, why):
    with pytest.raises(CorruptPayload, match=why):
        unpack_columns(data, 0, 1, rows, scaled)
