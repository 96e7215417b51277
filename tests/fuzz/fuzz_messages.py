"""Fuzz the messages of the stream, both directions, from bytes to values and back (proto/TRANSPORT.md).

The first byte says what the rest is: a message as it comes by wire, one that protobuf has unfolded already (as
it does in a client that uses the generated stub), or the content of one whose kind and length are put right.
"""

from __future__ import annotations

import harness

with harness.instrumented():
    from google.protobuf.message import DecodeError

    from common.errors import MdicError
    from common.pb import ingest_pb2
    from common.stream.convert import downlink_from_pb, uplink_from_pb
    from common.stream.wire import parse_downlink, parse_uplink, serialize_downlink, serialize_uplink

NAME = "messages"
UPLINK, DOWNLINK, UNFOLDED_UPLINK, UNFOLDED_DOWNLINK, SEALED_UPLINK, SEALED_DOWNLINK = range(6)
_MEMBERS = 6


def run(data: bytes) -> bool:
    """Read `data` as what its first byte says; True when it was accepted."""
    if not data:
        return False
    kind, rest = data[0] % 6, data[1:]
    if kind in (SEALED_UPLINK, SEALED_DOWNLINK):
        kind, rest = kind - SEALED_UPLINK, seal(rest)
    try:
        if kind == UPLINK:
            uplink = parse_uplink(rest)
            assert parse_uplink(serialize_uplink(uplink)) == uplink
        elif kind == DOWNLINK:
            downlink = parse_downlink(rest)
            assert parse_downlink(serialize_downlink(downlink)) == downlink
        elif kind == UNFOLDED_UPLINK:
            message = uplink_from_pb(ingest_pb2.Uplink.FromString(rest))
            assert parse_uplink(serialize_uplink(message)) == message
        else:
            answer = downlink_from_pb(ingest_pb2.Downlink.FromString(rest))
            assert parse_downlink(serialize_downlink(answer)) == answer
    except (MdicError, DecodeError) as error:
        # Only protobuf's own unfolding may answer with its own error; `wire` turns that into ours.
        assert isinstance(error, MdicError) or kind in (UNFOLDED_UPLINK, UNFOLDED_DOWNLINK), error
        return False
    return True


def seal(data: bytes) -> bytes:
    """Return a message of the kind that the first byte names, with the rest as its content."""
    if not data:
        return data
    content, length = data[1:], bytearray()
    left = len(content)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return bytes(((1 + data[0] % _MEMBERS) << 3 | 2,)) + bytes(length) + content


if __name__ == "__main__":
    harness.main(NAME, run)
