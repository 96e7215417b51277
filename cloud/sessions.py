"""State of one vehicle: its connections and who holds which place, its side view, its main view.

Everything here runs in the event loop; decoding of images and of frames happens behind it, in threads.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

from cloud.connection import Connection
from cloud.mainview import MainView, Rooms
from cloud.sideinfo.feed import SideFeed
from cloud.sideinfo.sidecodec import SidePacket, open_side_decoder
from cloud.status import Superseded, VehicleBusy
from common.errors import BitstreamError, FrameSizeError, MdicError, ProtocolViolation
from common.stream.messages import Hello, MainFrame, SideFrame, Telemetry

LOG = logging.getLogger(__name__)


class VehicleSession:
    """Join the connections of one vehicle, pair its views and follow each main frame to its ack."""

    def __init__(self, vehicle: str, rooms: Rooms) -> None:
        self.vehicle = vehicle
        self.name = f"{vehicle}-{secrets.token_hex(4)}"
        self.main_ended = False
        self._rooms = rooms
        self._view = MainView(vehicle, self.name, rooms)
        self._main: Connection | None = None
        self._side: Connection | None = None
        self._feed: SideFeed | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()

    @property
    def connected(self) -> bool:
        """Tell whether a connection is open."""
        return self._main is not None or self._side is not None

    @property
    def unsettled(self) -> int:
        """Count the main frames received and not yet answered."""
        return self._view.unsettled

    async def join(self, hello: Hello) -> Connection:
        """Add a connection, in the place of an older one of the same stream if there is one.

        Raises:
            VehicleBusy: another connection carries one of its views.
            Superseded: while this one waited, a newer one of the same stream came.
            NothingDurable, SinkUnready: a durable stream cannot be kept.
            MissingDependency: the side codec is not installed here.
        """
        before = self._before(hello)
        decoder = None
        if hello.side_codec is not None:
            decoder = open_side_decoder(hello.side_codec, hello.side_height, hello.side_width)
        connection = Connection(hello)
        # The places are taken before the first await: a second hello must find them taken.
        if before is not None:
            before.supersede()
        self._main = connection if hello.role.has_main else self._main
        self._side = connection if hello.role.has_side else self._side
        try:
            if hello.role.has_main:
                connection.welcome = await self._view.open(hello, connection)
                self.main_ended = False
            if decoder is not None:
                await self._drain_side()
                threads = self._rooms.side_threads
                self._feed = SideFeed(decoder, self._view.pairer, threads, self._view.pump, self._side_lost)
                self._view.pairer.set_side_ended(False)
            if connection.closed:
                raise Superseded
        except BaseException:
            self.leave(connection)
            raise
        return connection

    def _before(self, hello: Hello) -> Connection | None:
        """Return the connection whose place a hello takes, None when its places are free."""
        before = None
        for view, wanted, holder in (
            ("main", hello.role.has_main, self._main),
            ("side", hello.role.has_side, self._side),
        ):
            if not wanted or holder is None:
                continue
            if (holder.hello.role, holder.hello.stream_id) != (hello.role, hello.stream_id):
                raise VehicleBusy(self.vehicle, view)
            before = holder
        return before

    def take_main(self, connection: Connection, frame: MainFrame) -> None:
        """Take a main frame.

        Raises:
            ProtocolViolation: it is not for this connection, or not newer than the one before.
        """
        self._view.take(connection, frame)

    async def room(self, connection: Connection) -> None:
        """Wait until another main frame of `connection` may be taken."""
        await connection.room()
        await self._view.room()

    def take_telemetry(self, connection: Connection, telemetry: Telemetry) -> None:
        """Take records of the rig.

        Raises:
            ProtocolViolation: too many come before a durable frame.
        """
        self._view.telemetry.take(connection.hello, telemetry)

    async def take_side(self, connection: Connection, frame: SideFrame) -> None:
        """Take a side frame; waits while too many are undecoded, so that the sender slows down.

        Raises:
            ProtocolViolation: it is not for this connection, or not newer than the one before.
        """
        if not connection.hello.role.has_side or self._feed is None:
            raise ProtocolViolation("a side frame on a connection that announced none")
        connection.receive_side(frame.seq)
        self._rooms.totals.side_received += 1
        self._rooms.totals.side_bytes += len(frame.data)
        await self._feed.put(
            SidePacket(
                frame.seq,
                frame.capture_ns,
                frame.data,
                frame.keyframe,
                None if frame.keyframe else frame.reference_seq,
            )
        )

    async def end(self, connection: Connection, ended: bool = True) -> None:
        """Settle all that `connection` sent; then its acks are in its outbox and its recording is complete.

        Args:
            connection: one of this session.
            ended: it said so; otherwise it may come back and go on with the same recording.
        """
        if connection is self._side:
            await self._end_side()
        await connection.settled()
        if connection is self._main and ended:
            await self._rooms.sinks.close_vehicle(self.vehicle)
            self._rooms.scheduler.forget(self.vehicle)
            self.main_ended = True

    def leave(self, connection: Connection) -> None:
        """Take a connection out of the session, ended or broken; what it sent goes on."""
        connection.closed = True
        connection.reception.close()
        self._view.leave(connection)
        if connection is self._main:
            self._main = None
        if connection is self._side:
            self._side = None
            self._spawn(self._end_side())

    async def flush(self) -> None:
        """Decode the side frames received, then send every main frame on with what is there."""
        await self._end_side()

    def give_up(self) -> None:
        """Answer every main frame that still waits for its side view."""
        self._view.give_up()

    async def close(self) -> None:
        """Let go of what the session holds; everything is settled by now."""
        self._view.close()
        if self._feed is not None:
            self._feed.close()
        for task in list(self._tasks):
            task.cancel()
        await self._rooms.sinks.close_vehicle(self.vehicle)
        self._rooms.scheduler.forget(self.vehicle)

    async def _drain_side(self) -> None:
        if self._feed is not None:
            await self._feed.drain()

    async def _end_side(self) -> None:
        feed = self._feed
        await self._drain_side()
        if self._feed is feed:  # no other side connection came meanwhile
            self._view.pairer.set_side_ended(True)
            self._view.pump()

    def _side_lost(self, capture_ns: int | None, error: MdicError | None, reason: str) -> None:
        self._rooms.totals.sides_lost[reason] += 1
        if capture_ns is not None:
            self._view.pairer.lose_side(capture_ns, _note_of(error))
        if reason not in self._told:
            self._told.add(reason)
            told = "internal error" if error is None else str(error)
            LOG.warning("%s: side frame lost (told once a kind): %s", self.vehicle, told)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _note_of(error: MdicError | None) -> str:
    """Return what the index says of a side view that could not be used."""
    if isinstance(error, FrameSizeError):
        return "other size"
    return "corrupt" if isinstance(error, BitstreamError) else "not decoded"
