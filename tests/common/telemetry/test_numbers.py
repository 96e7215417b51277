"""common.telemetry.numbers: a token comes back digit by digit, or is not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.telemetry.numbers import MAX_MANTISSA, Number, parse, render


@pytest.mark.parametrize(
    ("token", "mantissa", "decimals"),
    [
        (b"49.015003823272", 49015003823272, 12),
        (b"-0.00065978763801346", -65978763801346, 17),
        (b"-3.2919e-05", -32919, 9),
        (b"6e-05", 6, 5),
        (b"4", 4, 0),
        (b"0", 0, 0),
        (b"0.50", 50, 2),
        (b"0.0", 0, 1),
    ],
)
def test_what_a_unit_writes_is_a_number(token, mantissa, decimals):
    assert parse(token) == Number(mantissa, decimals)
    assert render(Number(mantissa, decimals)) == token


@pytest.mark.parametrize(
    "token",
    [b"", b"-", b"-0", b"-0.0", b"007", b"+1", b".5", b"5.", b"1e5", b"1e+05", b"7.2e+02", b"0.00001", b"50e-06",
     b"1.5e-04", b"1e-5", b"nan", b"1 ", b"1\n", b"1" * 25, b"1e-41", "\u0661".encode()],
)  # fmt: skip
def test_what_would_come_back_otherwise_is_not_taken(token):
    assert parse(token) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_floats_printed_with_fourteen_digits_come_back(value):
    token = f"{value:.14g}".encode()
    number = parse(token)
    if number is None:
        assert value == 0 or abs(value) < 1e-26  # minus zero, or more decimals than are allowed
    else:
        assert render(number) == token


@given(st.from_regex(rb"-?[0-9.e-]{1,20}", fullmatch=True))
def test_nothing_comes_back_changed(token):
    number = parse(token)
    assert number is None or render(number) == token


def test_scaling_rounds_down():
    assert [Number(-155, 1).scaled(d) for d in (0, 1, 3)] == [-16, -155, -15500]


def test_bounds():
    assert Number(MAX_MANTISSA - 1, 40).valid
    assert not Number(MAX_MANTISSA, 0).valid and not Number(1, 41).valid and not Number(1, -1).valid
