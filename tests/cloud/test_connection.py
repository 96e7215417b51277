"""Counting of one connection."""

from __future__ import annotations

import asyncio

import pytest
from fake_cloud import go
from fake_edge import hello

from cloud.connection import WINDOW_FRAMES, Connection
from common.errors import ProtocolViolation
from common.stream.messages import Ack, Goodbye, Status


def test_numbers_must_rise_per_view() -> None:
    async def check() -> None:
        connection = Connection(hello())
        connection.receive_main(3)
        connection.receive_side(3)
        connection.receive_main(9)
        for again in (9, 2):
            with pytest.raises(ProtocolViolation, match=f"main frame {again} after 9"):
                connection.receive_main(again)
        with pytest.raises(ProtocolViolation, match="side frame 3 after 3"):
            connection.receive_side(3)

    go(check())


def test_settled_when_each_frame_is_answered() -> None:
    async def check() -> None:
        connection = Connection(hello())
        await connection.settled()  # nothing received, nothing to wait for
        for seq in range(3):
            connection.receive_main(seq)
        waiting = asyncio.ensure_future(connection.settled())
        for seq, status in enumerate((Status.DECODED, Status.DROPPED, Status.FAILED)):
            await asyncio.sleep(0)
            assert not waiting.done()
            connection.settle(Ack(seq, status))
        await waiting
        assert connection.goodbye() == Goodbye(decoded=1, dropped=1, failed=1)
        assert connection.outbox.qsize() == 3

    go(check())


def test_reading_pauses_while_too_many_acks_are_unsent() -> None:
    async def check() -> None:
        connection = Connection(hello())
        for seq in range(WINDOW_FRAMES):
            connection.receive_main(seq)
        room = asyncio.ensure_future(connection.room())
        await asyncio.sleep(0)
        assert not room.done()
        connection.settle(Ack(0, Status.DECODED))
        await asyncio.sleep(0)
        assert not room.done()  # answered, but the answer has not left
        connection.ack_sent()
        await room

    go(check())


def test_a_closed_connection_keeps_counting_and_queues_nothing() -> None:
    async def check() -> None:
        connection = Connection(hello())
        connection.receive_main(0)
        connection.closed = True
        connection.settle(Ack(0, Status.DECODED))
        assert connection.outbox.empty() and connection.goodbye().decoded == 1

    go(check())
