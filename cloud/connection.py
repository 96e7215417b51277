"""One connection of a vehicle: what it sent, what is settled, and the answers on their way to it."""

from __future__ import annotations

import asyncio

from common.errors import ProtocolViolation
from common.stream.messages import Ack, DownlinkMessage, Goodbye, Hello, Status

WINDOW_FRAMES = 1024
"""Main frames received whose ack is not yet sent; beyond, nothing more is read from the connection."""


class Connection:
    """Count the frames of one connection and hold its answers."""

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.outbox: asyncio.Queue[DownlinkMessage | None] = asyncio.Queue()
        self.closed = False
        self.settled_counts = {status: 0 for status in Status}
        self.side_received = 0
        self._last_main = self._last_side = -1
        self._unsettled = 0
        self._unsent = 0
        self._all_settled = asyncio.Event()
        self._all_settled.set()
        self._room = asyncio.Event()
        self._room.set()

    def receive_main(self, seq: int) -> None:
        """Count a main frame.

        Raises:
            ProtocolViolation: its number is not higher than the one before.
        """
        if seq <= self._last_main:
            raise ProtocolViolation(f"main frame {seq} after {self._last_main}")
        self._last_main = seq
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
        if seq <= self._last_side:
            raise ProtocolViolation(f"side frame {seq} after {self._last_side}")
        self._last_side = seq
        self.side_received += 1

    def settle(self, ack: Ack) -> None:
        """Answer one main frame."""
        self.settled_counts[ack.status] += 1
        self._unsettled -= 1
        if not self.closed:
            self.outbox.put_nowait(ack)
        if not self._unsettled:
            self._all_settled.set()

    def ack_sent(self) -> None:
        """Count an ack that left."""
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
