"""The sessions of a server: who may join, when a session is over, how all of them end."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from cloud.connection import Connection
from cloud.mainview import Rooms
from cloud.sessions import VehicleSession
from cloud.status import CloudClosing, CloudFull
from common.errors import ForeignBundle, UnknownVersion
from common.stream.limits import WIRE_VERSION
from common.stream.messages import Hello

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegistryLimits:
    """Bound the sessions of a server.

    Attributes:
        max_sessions: vehicles at the same time.
        linger_s: how long a session whose connection broke waits for the vehicle to come back.
    """

    max_sessions: int = 256
    linger_s: float = 15.0


class Registry:
    """Hold the sessions by vehicle."""

    def __init__(self, rooms: Rooms, bundle_id: bytes | None, limits: RegistryLimits | None = None) -> None:
        """Start without sessions; `bundle_id` is the one served, None for any."""
        self.closing = asyncio.Event()
        self._rooms = rooms
        self._bundle_id = bundle_id
        self._limits = limits or RegistryLimits()
        self._sessions: dict[str, VehicleSession] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}

    @property
    def sessions(self) -> int:
        """Count the sessions, those waiting for their vehicle included."""
        return len(self._sessions)

    @property
    def window(self) -> int:
        """Give the main frames that a vehicle may have sent without an ack."""
        return self._rooms.window

    async def join(self, hello: Hello) -> tuple[VehicleSession, Connection]:
        """Open a connection.

        Raises:
            UnknownVersion: of the wire.
            ForeignBundle: the vehicle encodes with another bundle.
            CloudClosing: the server is shutting down.
            CloudFull: there are too many sessions.
            MdicError: what `VehicleSession.join` raises.
        """
        if hello.wire_version != WIRE_VERSION:
            raise UnknownVersion(hello.wire_version, WIRE_VERSION)
        if self.closing.is_set():
            raise CloudClosing
        if hello.role.has_main and self._bundle_id is not None and hello.bundle_id != self._bundle_id:
            raise ForeignBundle(hello.bundle_id.hex(), self._bundle_id.hex())
        ending = self._endings.get(hello.vehicle)
        if ending is not None:
            await asyncio.shield(ending)  # its recording must be complete before another starts
        session = self._sessions.get(hello.vehicle)
        if session is None:
            if len(self._sessions) >= self._limits.max_sessions:
                raise CloudFull(len(self._sessions))
            session = self._sessions[hello.vehicle] = VehicleSession(hello.vehicle, self._rooms)
            self._rooms.totals.sessions += 1
        self._cancel_alarm(hello.vehicle)
        try:
            connection = await session.join(hello)
        except BaseException:
            self._settle_down(session)
            raise
        LOG.info("%s: %s connection from camera %r", session.name, hello.role.name.lower(), hello.camera)
        return session, connection

    def leave(self, session: VehicleSession, connection: Connection) -> None:
        """Close a connection, ended or broken."""
        session.leave(connection)
        said = connection.goodbye()
        LOG.info(
            "%s: %s connection left: %d decoded, %d dropped, %d failed, %d side views",
            session.name,
            connection.hello.role.name.lower(),
            said.decoded,
            said.dropped,
            said.failed,
            said.side_received,
        )
        self._settle_down(session)

    async def shutdown(self, grace_s: float) -> None:
        """Take no more connections, decode what was received for at most `grace_s`, drop the rest."""
        self.closing.set()
        deadline = time.monotonic() + grace_s
        flushes = [asyncio.ensure_future(session.flush()) for session in self._sessions.values()]
        if flushes:
            _, late = await asyncio.wait(flushes, timeout=grace_s)
            for task in late:
                task.cancel()
        await self._rooms.scheduler.drain(deadline - time.monotonic())
        for session in self._sessions.values():
            session.give_up()

    async def close(self) -> None:
        """Close every session."""
        for session in list(self._sessions.values()):
            self._end(session)
        await asyncio.gather(*self._endings.values(), return_exceptions=True)

    def _settle_down(self, session: VehicleSession) -> None:
        """End a session that nobody is connected to: at once when it said so, else after a while."""
        if session.connected or self._sessions.get(session.vehicle) is not session:
            return
        if session.main_ended and not session.unsettled:
            self._end(session)
            return
        self._cancel_alarm(session.vehicle)
        loop = asyncio.get_running_loop()
        self._alarms[session.vehicle] = loop.call_later(self._limits.linger_s, self._expire, session)

    def _expire(self, session: VehicleSession) -> None:
        self._alarms.pop(session.vehicle, None)
        if session.connected or self._sessions.get(session.vehicle) is not session:
            return
        if session.unsettled:
            self._settle_down(session)  # still decoding what it sent
        else:
            self._end(session)

    def _end(self, session: VehicleSession) -> None:
        self._cancel_alarm(session.vehicle)
        if self._sessions.get(session.vehicle) is session:
            del self._sessions[session.vehicle]
        ending = asyncio.ensure_future(session.close())
        self._endings[session.vehicle] = ending
        ending.add_done_callback(lambda _: self._endings.pop(session.vehicle, None))

    def _cancel_alarm(self, vehicle: str) -> None:
        alarm = self._alarms.pop(vehicle, None)
        if alarm is not None:
            alarm.cancel()
