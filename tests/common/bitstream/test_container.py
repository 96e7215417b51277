"""Containers: a fixed header of 26 bytes as the specification's table says, and one error for each defect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.bitstream import container
from common.bitstream.checksum import crc32c
from common.bitstream.container import HEADER_BYTES, Container
from common.bitstream.fields import Field
from common.bitstream.limits import Limits
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import (
    BadMagic,
    BitstreamError,
    ChecksumMismatch,
    FieldOutOfRange,
    ForeignBundle,
    Oversize,
    Truncated,
    UnknownVersion,
)

SPEC = Path(__file__).parents[3] / "proto" / "BITSTREAM.md"
SESSION = SessionFacts(b"bundleid", 375, 1242)
PACKET = Packet(2, b"payload").serialize(SESSION)
DATA = Container(SESSION, PACKET).serialize()


def _resealed(offset: int, new: bytes) -> bytes:
    header = bytearray(DATA[:22])
    header[offset : offset + len(new)] = new
    return bytes(header) + crc32c(bytes(header)).to_bytes(4, "little") + DATA[26:]


def test_a_container_round_trips():
    parsed = Container.parse(DATA, expected_bundle=b"bundleid")
    assert parsed == Container(SESSION, PACKET)
    assert parsed.parse_packet() == Packet(2, b"payload")
    assert len(DATA) == HEADER_BYTES + len(PACKET)


def test_the_fields_are_where_the_specification_says():
    section = SPEC.read_text().split("## 2. Container")[1].split("## 3.")[0]
    table = {n: (int(o), int(b)) for o, b, n in re.findall(r"\| (\d+) \| (\d+) \| (\w+) \|", section)}
    declared = {f.name: (f.offset, f.width_bytes) for f in vars(container).values() if isinstance(f, Field)}
    assert declared.items() <= table.items()
    assert table["magic"] == (0, len(container.MAGIC))
    assert table["bundle_id"] == (container.BUNDLE_ID_OFFSET, 8)
    assert len(declared) + 2 == len(table)
    end = max(offset + width for offset, width in table.values())
    assert end == HEADER_BYTES <= 32


@pytest.mark.parametrize("size", range(len(DATA)))
def test_every_truncation_is_truncated(size: int):
    with pytest.raises(Truncated):
        Container.parse(DATA[:size])


def test_every_flipped_bit_of_the_header_is_refused():
    for bit in range(8 * HEADER_BYTES):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BadMagic, UnknownVersion, ChecksumMismatch)):
            Container.parse(bytes(damaged))


@pytest.mark.parametrize(
    ("offset", "new", "error"),
    [
        (0, b"RIFF", BadMagic),
        (4, b"\0", UnknownVersion),
        (4, b"\x02", UnknownVersion),
        (5, b"\x01", FieldOutOfRange),
        (6, b"\x3f\0", FieldOutOfRange),
        (6, b"\x01\x10", FieldOutOfRange),
        (8, b"\0\0", FieldOutOfRange),
        (18, b"\x02\0\0\0", FieldOutOfRange),
        (18, b"\xff\xff\xff\xff", Oversize),
        (18, b"\x01\0\x10\0", Oversize),
        (18, b"\x0b\0\0\0", Truncated),
        (18, b"\x09\0\0\0", Oversize),
    ],
)
def test_a_wrong_field_with_a_right_checksum(offset: int, new: bytes, error: type[BitstreamError]):
    with pytest.raises(error):
        Container.parse(_resealed(offset, new))


def test_another_bundle_is_foreign_and_both_are_named():
    with pytest.raises(ForeignBundle, match=f"{b'bundleid'.hex()}.*{b'12345678'.hex()}"):
        Container.parse(DATA, expected_bundle=b"12345678")
    assert Container.parse(DATA).session.bundle_id == b"bundleid"


def test_the_packet_limit_holds_both_ways():
    limits = Limits(packet_bytes=len(PACKET) - 1)
    with pytest.raises(Oversize):
        Container.parse(DATA, limits)
    with pytest.raises(Oversize):
        Container(SESSION, PACKET).serialize(limits)


def test_a_packet_without_a_header_cannot_be_written():
    with pytest.raises(FieldOutOfRange, match="packet_bytes is 2"):
        Container(SESSION, b"xy").serialize()
