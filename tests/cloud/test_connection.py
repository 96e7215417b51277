"""Counting of one connection."""

from __future__ import annotations

import asyncio

import pytest
from fake_cloud import go
from fake_edge import hello

from cloud.connection import MAX_PONGS, WINDOW_FRAMES, Connection
from common.errors import ProtocolViolation
from common.stream.messages import Ack, Goodbye, Ping, Pong, Status


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
        connection.sent(connection.outbox.get_nowait())
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


def test_heartbeats_are_answered_ahead_of_acks_and_not_without_end() -> None:
    async def check() -> None:
        connection = Connection(hello())
        connection.receive_main(0)
        connection.settle(Ack(0, Status.DECODED))
        for n in range(2 * MAX_PONGS):
            connection.receive_ping(Ping(edge_ns=n))
        assert connection.outbox.qsize() == MAX_PONGS + 1
        first = connection.outbox.get_nowait()
        assert isinstance(first, Pong) and first.received_ns > 0
        connection.sent(first)
        connection.receive_ping(Ping(edge_ns=99))
        assert connection.outbox.qsize() == MAX_PONGS + 1
        rest = [connection.outbox.get_nowait() for _ in range(MAX_PONGS + 1)]
        assert isinstance(rest[-1], Ack) and [isinstance(m, Pong) for m in rest] == [True] * MAX_PONGS + [
            False
        ]

    go(check())


def test_a_heartbeat_brings_the_clock_estimate() -> None:
    async def check() -> None:
        connection = Connection(hello())
        connection.receive_ping(Ping(1))
        assert connection.reception.offset_ns is None
        connection.receive_ping(Ping(2, offset_ns=-7, rtt_ns=5))
        assert connection.reception.offset_ns == -7

    go(check())


def test_a_frame_handed_over_is_off_the_account() -> None:
    async def check() -> None:
        connection = Connection(hello())
        for seq in range(WINDOW_FRAMES):
            connection.receive_main(seq)
        connection.hand_over()
        await asyncio.wait_for(connection.room(), 1)
        for seq in range(1, WINDOW_FRAMES):
            connection.settle(Ack(seq, Status.DECODED))
        await asyncio.wait_for(connection.settled(), 1)
        assert connection.goodbye().decoded == WINDOW_FRAMES - 1

    go(check())


def test_a_superseded_connection_says_nothing_more() -> None:
    async def check() -> None:
        connection = Connection(hello())
        connection.receive_main(0)
        connection.supersede()
        connection.settle(Ack(0, Status.DECODED))
        connection.receive_ping(Ping(1))
        assert connection.superseded.is_set() and connection.outbox.empty()

    go(check())
