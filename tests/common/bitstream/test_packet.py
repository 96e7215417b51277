"""Packets: three bytes of header, bound to their session, one error for each defect."""

from __future__ import annotations

import pytest

from common.bitstream.limits import Limits
from common.bitstream.packet import PACKET_HEADER_BYTES, Packet, packet_checksum
from common.bitstream.sections import Section
from common.bitstream.session import SessionFacts
from common.errors import (
    BitstreamError,
    ChecksumMismatch,
    CorruptPayload,
    FieldOutOfRange,
    Oversize,
    Truncated,
    UnknownSection,
    UnknownVersion,
)

SESSION = SessionFacts(b"bundleid", 128, 256)


def _seal(first: int, body: bytes) -> bytes:
    return bytes((first,)) + packet_checksum(SESSION, first, body).to_bytes(2, "little") + body


@pytest.mark.parametrize("quality", range(8))
@pytest.mark.parametrize("payload", [b"", b"\0", b"0123456789"])
def test_a_plain_packet_is_its_payload_and_three_bytes(quality: int, payload: bytes):
    packet = Packet(quality, payload)
    data = packet.serialize(SESSION)
    assert len(data) == PACKET_HEADER_BYTES + len(payload) == 3 + len(payload)
    assert data[0] == 0x10 | quality << 1
    assert data[3:] == payload
    assert Packet.parse(data, SESSION) == packet


def test_an_extended_packet_round_trips():
    packet = Packet(3, b"payload", flags=0x0A, sections=(Section(9, b"nine"),))
    data = packet.serialize(SESSION)
    assert data[0] & 1
    assert data[3:] == b"\x0a" + b"\x09\x04nine" + b"\0" + b"payload"
    assert Packet.parse(data, SESSION) == packet


def test_any_single_flipped_bit_is_refused():
    data = Packet(5, b"some payload").serialize(SESSION)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ChecksumMismatch, UnknownVersion)):
            Packet.parse(bytes(damaged), SESSION)


@pytest.mark.parametrize(
    "other",
    [
        SessionFacts(b"bundleie", 128, 256),
        SessionFacts(b"bundleid", 129, 256),
        SessionFacts(b"bundleid", 256, 128),
    ],
)
def test_a_packet_of_another_session_is_refused(other: SessionFacts):
    with pytest.raises(ChecksumMismatch):
        Packet.parse(Packet(5, b"some payload").serialize(other), SESSION)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_less_than_a_header_is_truncated(size: int):
    with pytest.raises(Truncated, match=f"need 3 bytes, have {size}"):
        Packet.parse(Packet(0, b"x").serialize(SESSION)[:size], SESSION)


@pytest.mark.parametrize("version", [0, 2, 15])
def test_other_versions_are_named(version: int):
    with pytest.raises(UnknownVersion, match=f"version {version} "):
        Packet.parse(_seal(version << 4, b""), SESSION)


def test_the_limit_holds_both_ways_and_includes_the_header():
    limits = Limits(packet_bytes=10)
    data = Packet(0, bytes(7)).serialize(SESSION, limits)
    assert Packet.parse(data, SESSION, limits).payload == bytes(7)
    with pytest.raises(Oversize, match="11 bytes exceeds the limit of 10"):
        Packet(0, bytes(8)).serialize(SESSION, limits)
    with pytest.raises(Oversize):
        Packet.parse(Packet(0, bytes(8)).serialize(SESSION), SESSION, limits)
    with pytest.raises(Oversize):
        Packet(0, b"", sections=(Section(1, b""),) * 65).serialize(SESSION)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", Truncated),
        (b"\0\0", CorruptPayload),
        (b"\x10\0", FieldOutOfRange),
        (b"\x80\x01\0\0", FieldOutOfRange),
        (b"\0\x80\0\0", UnknownSection),
        (b"\0\x01\x05abc", Truncated),
    ],
)
def test_malformed_extensions(body: bytes, error: type[BitstreamError]):
    with pytest.raises(error):
        Packet.parse(_seal(0x11, body), SESSION)


@pytest.mark.parametrize("wrong", [{"quality": 8}, {"quality": -1}, {"quality": 0, "flags": 256}])
def test_fields_that_do_not_fit_are_refused(wrong: dict[str, int]):
    with pytest.raises(ValueError, match=str(next(reversed(wrong.values())))):
        Packet(payload=b"", **wrong)


def test_a_packet_describes_itself_in_a_short_line():
    assert str(Packet(3, bytes(900))) == "Packet(quality=3 payload=900 bytes)"
    assert "sections=1" in str(Packet(3, b"", sections=(Section(1, b""),)))
