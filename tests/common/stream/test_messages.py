from __future__ import annotations

import dataclasses

import pytest

from common.pb import types_pb2
from common.stream.messages import DropCounts, End, Hello, MainFrame, Role, Status
from common.types import SideCodec


def test_numbers_are_those_of_the_wire() -> None:
    assert {r.name: r.value for r in Role} == {
        k.removeprefix("ROLE_"): v for k, v in types_pb2.Role.items() if v
    }
    assert {s.name: s.value for s in Status} == {
        k.removeprefix("STATUS_"): v for k, v in types_pb2.Status.items() if v
    }
    assert {c.name: c.value for c in SideCodec} == {
        k.removeprefix("SIDE_CODEC_"): v for k, v in types_pb2.SideCodec.items() if v
    }


def test_drop_counts_are_those_of_the_wire() -> None:
    assert list(DropCounts().as_dict()) == [f.name for f in types_pb2.DropCounts.DESCRIPTOR.fields]
    assert DropCounts(send_queue=2, shutdown=3).total == 5


def test_roles() -> None:
    assert [(r.has_main, r.has_side) for r in (Role.BOTH, Role.MAIN, Role.SIDE)] == [
        (True, True),
        (True, False),
        (False, True),
    ]


def test_messages_are_frozen_and_do_not_print_their_bytes() -> None:
    frame = MainFrame(1, 2, bytes(10_000))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.seq = 2
    assert len(repr(frame)) < 100
    assert End() == End()
    assert Hello("v", Role.SIDE).wire_version == 2
