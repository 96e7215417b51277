"""What holds for any packet and container, and what no bytes can make a reader do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bitstream import Container, Packet, Section, SessionFacts
from common.errors import BitstreamError

SESSIONS = st.builds(
    SessionFacts, st.binary(min_size=8, max_size=8), st.integers(64, 4096), st.integers(64, 4096)
)
SECTIONS = st.lists(st.builds(Section, st.integers(1, 127), st.binary(max_size=300)), max_size=5).map(tuple)
PACKETS = st.builds(Packet, st.integers(0, 7), st.binary(max_size=200), st.integers(0, 15), SECTIONS)


@given(SESSIONS, PACKETS)
def test_packets_and_containers_come_back(session: SessionFacts, packet: Packet):
    data = packet.serialize(session)
    assert Packet.parse(data, session) == packet
    container = Container(session, data)
    assert Container.parse(container.serialize()) == container


@given(SESSIONS, SESSIONS, PACKETS)
def test_packets_belong_to_one_session(session: SessionFacts, other: SessionFacts, packet: Packet):
    data = packet.serialize(session)
    if other.checksum_prefix() != session.checksum_prefix():
        # 16 bits of checksum: one pair in 65536 may agree, so this asks for the same packet only.
        with contextlib.suppress(BitstreamError):
            assert Packet.parse(data, other) == packet


@given(st.binary(max_size=400))
def test_any_bytes_give_a_documented_error_or_one_form_only(data: bytes):
    session = SessionFacts(b"bundleid", 64, 64)
    with contextlib.suppress(BitstreamError):
        assert Packet.parse(data, session).serialize(session) == data
    with contextlib.suppress(BitstreamError):
        assert Container.parse(data).serialize() == data


@given(SESSIONS, PACKETS, st.data())
def test_damaged_containers_give_documented_errors(
    session: SessionFacts, packet: Packet, data: st.DataObject
):
    whole = Container(session, packet.serialize(session)).serialize()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 4)))
    damaged = whole[:start] + data.draw(st.binary(max_size=4)) + whole[end:]
    if damaged == whole:
        return
    # Two checksums guard the container; what passes the header's 32 bits still meets the packet's 16.
    try:
        container = Container.parse(damaged)
        got = container.parse_packet()
    except BitstreamError:
        return
    assert got.serialize(container.session) == container.packet


@given(st.binary(max_size=300))
def test_a_sealed_extension_of_any_bytes_gives_a_documented_error_or_one_form_only(body: bytes):
    from common.bitstream.packet import packet_checksum

    session = SessionFacts(b"bundleid", 64, 64)
    data = b"\x11" + packet_checksum(session, 0x11, body).to_bytes(2, "little") + body
    try:
        packet = Packet.parse(data, session)
    except BitstreamError:
        return
    assert packet.serialize(session) == data


def test_any_single_lost_or_doubled_byte_is_noticed():
    session = SessionFacts(b"bundleid", 375, 1242)
    data = Container(session, Packet(4, bytes(range(1, 60))).serialize(session)).serialize()
    for at in range(len(data)):
        for damaged in (data[:at] + data[at + 1 :], data[: at + 1] + data[at:]):
            with pytest.raises(BitstreamError):
                Container.parse(damaged).parse_packet()
