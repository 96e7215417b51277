"""State of one vehicle: its connections, the pairing of its views, and the way of each main frame to its ack.

Everything here runs in the event loop; decoding of images and of frames happens behind it, in threads.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from cloud.connection import Connection
from cloud.engine.base import EngineRequest
from cloud.pairing import Paired, Pairer, PairingLimits
from cloud.scheduler import SHUTDOWN, Job, Outcome, Scheduler
from cloud.sideinfo.feed import SideFeed
from cloud.sideinfo.sidecodec import SidePacket, open_side_decoder
from cloud.sinks.base import SinkFrame, SinkWriter
from cloud.status import VehicleBusy
from cloud.totals import Totals
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import BitstreamError, ProtocolViolation
from common.stream.messages import Ack, Hello, MainFrame, SideFrame, Status

LOG = logging.getLogger(__name__)

PAIRING_FULL = "pairing queue full"


@dataclass(frozen=True, eq=False)
class _Received:
    """Hold a main frame on its way and where its ack goes."""

    frame: MainFrame
    connection: Connection
    facts: SessionFacts
    received_ns: int


@dataclass(frozen=True, eq=False)
class Rooms:
    """Hold what the sessions of a server share.

    Attributes:
        scheduler: decodes.
        sinks: keeps what was decoded.
        side_threads: where side views are decoded.
        totals: counts.
        pairing: how views are paired.
        steps: diffusion steps; None means the bundle's default.
    """

    scheduler: Scheduler
    sinks: SinkWriter
    side_threads: Executor
    totals: Totals
    pairing: PairingLimits
    steps: int | None = None


class VehicleSession:
    """Join the connections of one vehicle, pair its views and follow each main frame to its ack."""

    def __init__(self, vehicle: str, rooms: Rooms) -> None:
        self.vehicle = vehicle
        self.name = f"{vehicle}-{secrets.token_hex(4)}"
        self.main_ended = False
        self._rooms = rooms
        self._pairer: Pairer[_Received] = Pairer(rooms.pairing)
        self._main: Connection | None = None
        self._side: Connection | None = None
        self._feed: SideFeed | None = None
        self._facts: SessionFacts | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        self._told: set[str] = set()

    @property
    def connected(self) -> bool:
        """Tell whether a connection is open."""
        return self._main is not None or self._side is not None

    @property
    def unsettled(self) -> int:
        """Count the main frames received and not yet answered."""
        return self._unsettled

    async def join(self, hello: Hello) -> Connection:
        """Add a connection.

        Raises:
            VehicleBusy: another connection carries one of its views.
            MissingDependency: the side codec is not installed here.
        """
        for view, wanted, holder in (
            ("main", hello.role.has_main, self._main),
            ("side", hello.role.has_side, self._side),
        ):
            if wanted and holder is not None:
                raise VehicleBusy(self.vehicle, view)
        decoder = None
        if hello.side_codec is not None:
            decoder = open_side_decoder(hello.side_codec, hello.side_height, hello.side_width)
        connection = Connection(hello)
        # The places are taken before the first await: a second hello must find them taken.
        self._main = connection if hello.role.has_main else self._main
        self._side = connection if hello.role.has_side else self._side
        try:
            if hello.role.has_main:
                await self._start_main(SessionFacts(hello.bundle_id, hello.height, hello.width))
            if decoder is not None:
                await self._drain_side()
                threads = self._rooms.side_threads
                self._feed = SideFeed(decoder, self._pairer, threads, self.pump, self._side_lost)
                self._pairer.set_side_ended(False)
        except BaseException:
            self.leave(connection)
            raise
        return connection

    async def _start_main(self, facts: SessionFacts) -> None:
        if self._facts is not None and facts != self._facts:
            await self._rooms.sinks.close_vehicle(self.vehicle)  # another size: another recording
        self._facts = facts
        self.main_ended = False

    def take_main(self, connection: Connection, frame: MainFrame) -> None:
        """Take a main frame: pair it, or answer at once when its packet is corrupt.

        Raises:
            ProtocolViolation: it is not for this connection, or not newer than the one before.
        """
        if not connection.hello.role.has_main or self._facts is None:
            raise ProtocolViolation("a main frame on a connection that announced none")
        connection.receive_main(frame.seq)
        self._rooms.totals.received += 1
        self._rooms.totals.packet_bytes += len(frame.packet)
        self._unsettled += 1
        entry = _Received(frame, connection, self._facts, time.monotonic_ns())
        try:
            Packet.parse(frame.packet, self._facts)
        except BitstreamError as error:
            self._settle(entry, Ack(0, Status.FAILED, detail=str(error)), type(error).__name__)
            return
        overtaken = self._pairer.add_main(entry, frame.capture_ns, time.monotonic_ns())
        if overtaken is not None:
            self._settle(overtaken, Ack(0, Status.DROPPED, detail=PAIRING_FULL), PAIRING_FULL)
        self.pump()

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

    def pump(self) -> None:
        """Send every frame whose side view is settled to the scheduler and set the alarm for the next."""
        for paired in self._pairer.take_ready(time.monotonic_ns()):
            self._submit(paired)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ns = self._pairer.next_deadline_ns()
        if deadline_ns is not None:
            # Past its deadline a frame waits only for a side view being decoded: that one pumps again.
            delay_s = max((deadline_ns - time.monotonic_ns()) / 1e9, 0.05)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.pump)

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
        if connection is self._main:
            self._main = None
        if connection is self._side:
            self._side = None
            self._spawn(self._end_side())

    async def flush(self) -> None:
        """Decode the side frames received, then send every main frame on with what is there."""
        await self._end_side()

    def give_up(self) -> None:
        """Answer every main frame that still waits for its side view as dropped."""
        for paired in self._pairer.take_ready(time.monotonic_ns(), flush=True):
            self._settle(paired.main, Ack(0, Status.DROPPED, detail=SHUTDOWN), SHUTDOWN)

    async def close(self) -> None:
        """Let go of what the session holds; everything is settled by now."""
        if self._timer is not None:
            self._timer.cancel()
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
            self._pairer.set_side_ended(True)
            self.pump()

    def _side_lost(self, error: str, reason: str) -> None:
        self._rooms.totals.sides_lost[reason] += 1
        if reason not in self._told:
            self._told.add(reason)
            LOG.warning("%s: side frame lost (told once a kind): %s", self.vehicle, error)

    def _submit(self, paired: Paired[_Received]) -> None:
        entry = paired.main
        request = EngineRequest(
            packet=entry.frame.packet,
            facts=entry.facts,
            side=None if paired.side is None else paired.side.image,
            stream=self.vehicle,
            frame=entry.frame.seq,
            steps=self._rooms.steps,
            capture_ns=entry.frame.capture_ns,
        )
        self._rooms.scheduler.submit(Job(request, lambda outcome: self._decoded(paired, outcome)))

    def _decoded(self, paired: Paired[_Received], outcome: Outcome) -> None:
        queue_ms = max(outcome.started_ns - paired.main.received_ns, 0) / 1e6
        if outcome.dropped is not None:
            self._settle(
                paired.main,
                Ack(0, Status.DROPPED, queue_ms=queue_ms, detail=outcome.dropped),
                outcome.dropped,
            )
        elif outcome.error is not None:
            self._settle(
                paired.main,
                Ack(0, Status.FAILED, queue_ms=queue_ms, detail=str(outcome.error)),
                type(outcome.error).__name__,
            )
        else:
            self._spawn(self._keep(paired, outcome, queue_ms))

    async def _keep(self, paired: Paired[_Received], outcome: Outcome, queue_ms: float) -> None:
        """Give a decoded frame to the sinks, then answer it."""
        entry = paired.main
        temporal = 0.0 if outcome.result is None else outcome.result.temporal
        self._rooms.totals.temporal += temporal > 0
        kept = SinkFrame(
            vehicle=self.vehicle,
            session=self.name,
            seq=entry.frame.seq,
            capture_ns=entry.frame.capture_ns,
            facts=entry.facts,
            packet=entry.frame.packet,
            image=None if outcome.result is None else outcome.result.image,
            side=None if paired.side is None else paired.side.image,
            side_state=paired.state,
            temporal=temporal,
        )
        problem = await self._rooms.sinks.write(kept)
        if problem is None:
            answer = Ack(0, Status.DECODED, paired.state, 0, queue_ms, outcome.decode_ms)
        else:
            answer = Ack(0, Status.FAILED, None, 0, queue_ms, outcome.decode_ms, problem)
        self._settle(entry, answer, "sink")

    def _settle(self, entry: _Received, answer: Ack, reason: str) -> None:
        """Send `answer` for the frame in `entry`; `reason` is the class it is counted in unless decoded."""
        self._unsettled -= 1
        self._rooms.totals.settle(answer, reason)
        entry.connection.settle(replace(answer, seq=entry.frame.seq, capture_ns=entry.frame.capture_ns))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
