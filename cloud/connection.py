"""One connection of a vehicle: what it sent, what is settled, and the answers on their way to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from common.stream.messages import Ack, DownlinkMessage, Goodbye, Hello, Ping, Pong, Status
from common.stream.receiver import Reception, Standing

WINDOW_FRAMES = 1024
"""Main frames received whose ack is not yet sent; beyond, nothing more is read from the connection."""

MAX_PONGS = 4
"""Heartbeats answered whose answer is not yet sent."""


class _Outbox(asyncio.Queue[DownlinkMessage | None]):
    """Hold answers in order; a pong goes first, or the peer would measure our queue and not the way."""

    _queue: deque[DownlinkMessage | None]

    def _put(self, item: DownlinkMessage | None) -> None:
        if isinstance(item, Pong):
            self._queue.appendleft(item)
        else:
            self._queue.append(item)


class Connection:
    """Count the frames of one connection and hold its answers."""

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.welcome = Standing()
        self.reception = Reception()
        self.reception.take_hello(hello)
        self.outbox: asyncio.Queue[DownlinkMessage | None] = _Outbox()
        self.closed = False
        self.superseded = asyncio.Event()
        """Set when another connection has taken this one's place."""
        self.settled_counts = {status: 0 for status in Status}
        self.side_received = 0
        self._unsettled = 0
        self._unsent = 0
        self._pongs = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()
        self._room = asyncio.Event()
        self._room.set()

    def receive_main(self, seq: int) -> None:
        """Count a main frame.

        Raises:
            ProtocolViolation: its number is not higher than the one before.
        """
        self.reception.take_main(seq)
        self._unsettled += 1
        self._unsent += 1
        self._all_settled.clear()
        if self._unsent >= WINDOW_FRAMES:
            self._room.clear()

    def receive_side(self, seq: int) -> None:
        """Count a side frame.

        Raises:
            ProtocolViolation: its number is not higher than the one before.
        """
        self.reception.take_side(seq)
        self.side_received += 1

    def receive_ping(self, ping: Ping) -> None:
        """Answer a heartbeat, ahead of all acks; a peer that reads no answers gets no more of them."""
        now_ns = time.monotonic_ns()
        self.reception.take_ping(ping)
        if self._pongs < MAX_PONGS and not self.closed:
            self._pongs += 1
            self.outbox.put_nowait(Pong(ping.edge_ns, now_ns, 0))

    def supersede(self) -> None:
        """Let another connection take this one's place: nothing more is sent here but why it ends."""
        self.closed = True
        self.superseded.set()

    def hand_over(self) -> None:
        """Take a frame off the account, because its answer goes to another connection."""
        self._settled()
        self._unsent -= 1
        if self._unsent < WINDOW_FRAMES:
            self._room.set()

    def settle(self, ack: Ack) -> None:
        """Answer one main frame."""
        self.settled_counts[ack.status] += 1
        if not self.closed:
            self.outbox.put_nowait(ack)
        self._settled()

    def sent(self, message: DownlinkMessage) -> None:
        """Count a message that left."""
        if isinstance(message, Pong):
            self._pongs -= 1
        elif isinstance(message, Ack):
            self._unsent -= 1
            if self._unsent < WINDOW_FRAMES:
                self._room.set()

    async def settled(self) -> None:
        """Wait until every main frame received is answered."""
        await self._all_settled.wait()

    async def room(self) -> None:
        """Wait until another main frame may be read."""
        await self._room.wait()

    def goodbye(self) -> Goodbye:
        """Return the last message of a connection that ended as it should."""
        return Goodbye(
            decoded=self.settled_counts[Status.DECODED],
            dropped=self.settled_counts[Status.DROPPED],
            failed=self.settled_counts[Status.FAILED],
            side_received=self.side_received,
        )

    def _settled(self) -> None:
        self._unsettled -= 1
        if not self._unsettled:
            self._all_settled.set()
