"""What holds for any message of the stream, and what no bytes can make a receiver do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolViolation
from common.stream.messages import Ack, Hint, MainFrame, Ping, Pong, SideFrame, Status, Telemetry, Welcome
from common.stream.wire import parse_downlink, parse_uplink, serialize_downlink, serialize_uplink

U32, U64, S64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
DATA = st.binary(min_size=1, max_size=200)
MS = st.floats(0, 1e12)
KINDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=32)
UPLINK = st.one_of(
    st.builds(MainFrame, U64, U64, DATA, U32),
    st.builds(SideFrame, U64, U64, DATA),
    st.builds(Ping, U64, S64, U64),
    st.builds(Telemetry, U64, U64, KINDS, DATA, st.booleans()),
)
DOWNLINK = st.one_of(
    st.builds(Welcome, st.text(max_size=100).filter(lambda t: t.isascii()), st.integers(1, 4096), U32, U64),
    st.builds(Ack, U64, st.sampled_from(Status), st.none(), U64, MS, MS, st.just(""), U64),
    st.builds(Pong, U64, U64, U64),
    st.builds(Hint, MS, U32, st.integers(1, 4096)),
)


@given(UPLINK)
def test_any_uplink_comes_back(message) -> None:
    assert parse_uplink(serialize_uplink(message)) == message


@given(DOWNLINK)
def test_any_downlink_comes_back(message) -> None:
    assert parse_downlink(serialize_downlink(message)) == message


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_bytes_are_a_message_or_a_violation(body: bytes, number: int) -> None:
    sealed = bytes((number << 3 | 2,)) + (
        bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 127 | 128, len(body) >> 7))
    )
    for data in (body, sealed + body):
        for parse, serialize in ((parse_uplink, serialize_uplink), (parse_downlink, serialize_downlink)):
            try:
                message = parse(data)
            except ProtocolViolation:
                continue
            assert parse(serialize(message)) == message


@given(UPLINK, st.data())
def test_a_damaged_uplink_is_a_message_or_a_violation(message, data: st.DataObject) -> None:
    whole = serialize_uplink(message)
    at = data.draw(st.integers(0, len(whole)))
    damaged = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + data.draw(st.integers(0, 3)) :]
    try:
        parse_uplink(damaged)
    except ProtocolViolation as error:
        assert str(error).isprintable()
