"""Extension sections: one form for each content, bounded, unknown types by their number."""

from __future__ import annotations

import pytest

from common.bitstream.limits import DEFAULT_LIMITS, Limits
from common.bitstream.sections import (
    Section,
    parse_sections,
    parse_varint,
    serialize_sections,
    serialize_varint,
)
from common.errors import CorruptPayload, Oversize, Truncated, UnknownSection


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (2**21 - 1, b"\xff\xff\x7f")],
)
def test_varints(value: int, data: bytes):
    assert serialize_varint(value) == data
    assert parse_varint(b"." + data + b".", 1) == (value, 1 + len(data))


def test_a_varint_has_three_bytes_at_most():
    with pytest.raises(Oversize):
        serialize_varint(2**21)
    with pytest.raises(CorruptPayload, match="more than 3 bytes"):
        parse_varint(b"\x80\x80\x80\x01", 0)


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00"])
def test_a_varint_must_be_in_its_shortest_form(data: bytes):
    with pytest.raises(CorruptPayload, match="shortest"):
        parse_varint(data, 0)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff"])
def test_a_varint_must_be_complete(data: bytes):
    with pytest.raises(Truncated):
        parse_varint(data, 0)


def test_sections_round_trip_with_whatever_follows():
    sections = (Section(1, b""), Section(5, b"abc"), Section(5, b"again"), Section(127, bytes(300)))
    data = serialize_sections(sections)
    assert parse_sections(b"x" + data + b"payload", 1, DEFAULT_LIMITS) == (sections, 1 + len(data))


def test_no_sections_are_one_byte():
    assert serialize_sections(()) == b"\0"


def test_a_mandatory_section_is_refused_by_its_number():
    with pytest.raises(UnknownSection, match="200"):
        parse_sections(b"\x01\0\xc8\0\0", 0, DEFAULT_LIMITS)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02x", b"\x01\x01x"])
def test_sections_must_be_complete(data: bytes):
    with pytest.raises(Truncated):
        parse_sections(data, 0, DEFAULT_LIMITS)


def test_the_number_of_sections_is_limited():
    limits = Limits(sections=3)
    assert len(parse_sections(b"\x01\0" * 3 + b"\0", 0, limits)[0]) == 3
    with pytest.raises(Oversize):
        parse_sections(b"\x01\0" * 4 + b"\0", 0, limits)


@pytest.mark.parametrize("kind", [0, -1, 256])
def test_section_types_are_1_to_255(kind: int):
    with pytest.raises(ValueError, match=str(kind)):
        Section(kind, b"")
