"""Declared header fields read and write little endian and mind their range."""

from __future__ import annotations

import pytest

from common.bitstream.fields import Field, write_fields
from common.errors import FieldOutOfRange

HEIGHT = Field("height", 2, 2, 64, 4096)


def test_a_field_is_read_where_it_was_written():
    header = bytearray(6)
    write_fields((HEIGHT, Field("last", 5, 1, 0, 255)), {"height": 375, "last": 7}, header)
    assert header == b"\0\0\x77\x01\0\x07"
    assert HEIGHT.read(bytes(header)) == 375


@pytest.mark.parametrize("value", [0, 63, 4097, 65535])
def test_values_out_of_range_are_refused_both_ways(value: int):
    with pytest.raises(FieldOutOfRange, match=f"height is {value} .allowed: 64..4096"):
        HEIGHT.read(b"\0\0" + value.to_bytes(2, "little"))
    with pytest.raises(FieldOutOfRange):
        write_fields((HEIGHT,), {"height": value}, bytearray(4))
