"""The main view of one vehicle: the way of each frame to its ack, and of a durable one to its place in the sink.

Everything here runs in the event loop; images and frames are decoded and kept behind it, in threads.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from cloud.connection import Connection
from cloud.engine.base import EngineRequest
from cloud.hints import EVERY_NS, HintGate
from cloud.pairing import Paired, Pairer, PairingLimits
from cloud.received import Received
from cloud.scheduler import SHUTDOWN, Job, Outcome, Scheduler
from cloud.sinks.base import Held, Kept
from cloud.sinks.writer import SinkWriter
from cloud.status import NothingDurable, SinkUnready, Superseded
from cloud.status import told as told_to_peer
from cloud.telemetry import FrameTelemetry
from cloud.totals import Totals
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import BitstreamError, ProtocolViolation
from common.stream.intervals import Intervals
from common.stream.messages import Ack, Hello, MainFrame, Mode, Status
from common.stream.receiver import MAX_RUNS, Receiver, Standing, Verdict
from common.types import SideState

MAX_IN_FLIGHT = 256
"""Main frames that a vehicle may have sent without an ack: what a welcome offers."""
PAIRING_FULL = "pairing queue full"
LATE_ARRIVAL, LATE_PAIRING = "late: arrival", "late: pairing"
OTHER_BYTES = "frame is in work already, with other bytes"
TOO_MANY_GAPS = "too many gaps: what is missing below has to come first"


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
        window: main frames a vehicle may have sent without an ack.
    """

    scheduler: Scheduler
    sinks: SinkWriter
    side_threads: Executor
    totals: Totals
    pairing: PairingLimits
    steps: int | None = None
    window: int = MAX_IN_FLIGHT


class MainView:
    """Take main frames, pair them, have them decoded and kept, and answer each."""

    def __init__(self, vehicle: str, session: str, rooms: Rooms) -> None:
        self.pairer: Pairer[Received] = Pairer(rooms.pairing)
        self.telemetry = FrameTelemetry(vehicle, rooms.sinks, rooms.totals)
        self._vehicle, self._session, self._rooms = vehicle, session, rooms
        self._facts: SessionFacts | None = None
        self._receiver: Receiver[Received] | None = None
        self._stream = b""
        self._highest = -1
        self._entries: dict[Received, None] = {}  # in the order received
        self._free = asyncio.Event()
        self._free.set()
        self._timer: asyncio.TimerHandle | None = None
        self._hints = HintGate(rooms.window)
        self._hint_timer: asyncio.TimerHandle | None = None
        self._to: Connection | None = None
        self._late_sides = 0

    @property
    def unsettled(self) -> int:
        """Count the main frames received and not yet answered."""
        return len(self._entries)

    async def open(self, hello: Hello, connection: Connection) -> Standing:
        """Begin to take the frames of a connection; return where its stream stands.

        Raises:
            NothingDurable: it asks for a durable stream, and no sink here keeps anything for good.
            SinkUnready: the vehicle's recording cannot be opened at present.
            Superseded: a newer connection of the same stream came while the recording was opened.
        """
        durable = hello.mode is Mode.DURABLE
        if durable and not self._rooms.sinks.durable:
            raise NothingDurable
        facts = SessionFacts(hello.bundle_id, hello.height, hello.width)
        if self._facts is not None and facts != self._facts:
            await self._rooms.sinks.close_vehicle(self._vehicle)  # another size: another recording
        self._facts, self._to = facts, connection
        self.telemetry.clear()
        self._hints = HintGate(self._rooms.window)
        known = durable and self._receiver is not None and self._stream == hello.stream_id
        if not known:
            # In live mode too: reading a long index here holds up this vehicle alone.
            held = await self._held(hello)
            if connection.closed:
                raise Superseded
            # Frames of another stream may still be on their way to the sink: their numbers are taken too.
            fresh: Receiver[Received] = Receiver(
                held.numbers, max(held.free_seq, self._highest + 1), MAX_RUNS
            )
            self._receiver, self._stream = fresh if durable else None, hello.stream_id
        if self._receiver is None:
            return Standing()
        return self._receiver.welcome(hello.oldest_seq)

    async def _held(self, hello: Hello) -> Held:
        try:
            return await self._rooms.sinks.held(self._vehicle, hello.stream_id)
        except OSError as error:
            if hello.mode is Mode.DURABLE:
                raise SinkUnready(error) from error
            return Held(Intervals())  # each frame will be told what the matter is

    def leave(self, connection: Connection) -> None:
        """Let go of a connection that is over."""
        if connection is self._to:
            self._to = None

    def take(self, connection: Connection, frame: MainFrame) -> None:
        """Take a main frame: pair it, or answer at once.

        Raises:
            ProtocolViolation: it is not for this connection, or not newer than the one before.
        """
        if not connection.hello.role.has_main or self._facts is None:
            raise ProtocolViolation("a main frame on a connection that announced none")
        connection.receive_main(frame.seq)
        self._rooms.totals.received += 1
        self._rooms.totals.packet_bytes += len(frame.packet)
        now_ns = time.monotonic_ns()
        due_ns = connection.reception.due_ns(frame.due_ms, now_ns)
        receiver = self._receiver if connection.hello.mode is Mode.DURABLE else None
        entry = Received(
            frame, connection, self._facts, now_ns, due_ns, receiver, self.telemetry.of_frame(frame.seq)
        )
        if receiver is not None and not self._is_new(receiver, entry):
            return
        self._add(entry)
        self._highest = max(self._highest, frame.seq)
        try:
            Packet.parse(frame.packet, self._facts)
        except BitstreamError as error:
            self._settle(entry, Ack(0, Status.FAILED, detail=str(error)), type(error).__name__)
            return
        if due_ns is not None and now_ns >= due_ns:
            self._drop(entry, LATE_ARRIVAL)
            return
        overtaken = self.pairer.add_main(entry, frame.capture_ns, now_ns, due_ns)
        if overtaken is not None:
            self._drop(overtaken, PAIRING_FULL)
        self.pump()
        self._hint()

    async def room(self) -> None:
        """Wait until a durable stream may send more: it loses nothing, so it has to be held back."""
        if self._receiver is None:
            return
        while len(self._entries) >= self._rooms.window:
            self._free.clear()
            await self._free.wait()
        await self._rooms.scheduler.room(self._vehicle)

    def pump(self) -> None:
        """Send every frame whose side view is settled to the scheduler and set the alarm for the next."""
        now_ns = time.monotonic_ns()
        for paired in self.pairer.take_ready(now_ns):
            if paired.main.due_ns is not None and now_ns >= paired.main.due_ns:
                self._drop(paired.main, LATE_PAIRING)
            else:
                self._submit(paired)
        late = self.pairer.late_sides - self._late_sides
        if late:
            self._late_sides += late
            self._rooms.totals.sides_lost["late"] += late
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ns = self.pairer.next_deadline_ns()
        if deadline_ns is not None:
            # Past its deadline a frame waits only for a side view being decoded: that one pumps again.
            delay_s = max((deadline_ns - now_ns) / 1e9, 0.001 if deadline_ns > now_ns else 0.05)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.pump)

    def give_up(self) -> None:
        """Answer every main frame that still waits for its side view: there is no time left."""
        for paired in self.pairer.take_ready(time.monotonic_ns(), flush=True):
            self._drop(paired.main, SHUTDOWN)

    def close(self) -> None:
        """Stop the clocks."""
        for timer in (self._timer, self._hint_timer):
            if timer is not None:
                timer.cancel()

    # --- durable numbers ------------------------------------------------------------------------------------

    def _is_new(self, receiver: Receiver[Received], entry: Received) -> bool:
        """Tell whether a durable frame has to be decoded; one that does not is answered or soon will be."""
        verdict, owner = receiver.receive(entry.frame.seq, entry)
        if verdict is Verdict.NEW:
            return True
        self._rooms.totals.again += verdict is not Verdict.REFUSED
        if verdict is Verdict.HELD:
            # The sink compares it with what it has; nothing is decoded for that.
            self._add(entry)
            self._keep(entry, None, SideState.MISSING, Outcome(started_ns=entry.received_ns))
        elif owner is not None and owner.frame.packet != entry.frame.packet:
            self._answer(entry, Ack(0, Status.FAILED, detail=OTHER_BYTES), OTHER_BYTES)
        elif owner is not None:
            owner.connection.hand_over()
            owner.connection = entry.connection
        else:
            self._answer(entry, Ack(0, Status.UNKEPT, detail=TOO_MANY_GAPS), TOO_MANY_GAPS)
        return False

    # --- decoding and keeping -------------------------------------------------------------------------------

    def _submit(self, paired: Paired[Received]) -> None:
        entry = paired.main
        request = EngineRequest(
            packet=entry.frame.packet,
            facts=entry.facts,
            side=None if paired.side is None else paired.side.image,
            side_lossy=paired.side is not None and paired.side.lossy,
            stream=self._vehicle,
            frame=entry.frame.seq,
            steps=self._rooms.steps,
            capture_ns=entry.frame.capture_ns,
        )
        job = Job(request, lambda outcome: self._decoded(paired, outcome), entry.durable, entry.due_ns)
        self._rooms.scheduler.submit(job)

    def _decoded(self, paired: Paired[Received], outcome: Outcome) -> None:
        entry = paired.main
        if outcome.dropped is not None:
            self._drop(entry, outcome.dropped, outcome.started_ns)
        elif outcome.error is not None and not entry.durable:
            self._settle(entry, entry.failed(outcome.error, outcome), type(outcome.error).__name__)
        else:
            self._keep(entry, paired, paired.state, outcome)

    def _keep(
        self, entry: Received, paired: Paired[Received] | None, state: SideState, outcome: Outcome
    ) -> None:
        """Give a frame to the sinks; a durable one that does not decode is kept as its bitstream."""
        kept = entry.sink_frame(self._vehicle, self._session, paired, state, outcome)
        self._rooms.totals.temporal += kept.temporal > 0
        self._rooms.totals.suspects += kept.side_suspect
        self._rooms.sinks.put(kept, lambda answer: self._kept(entry, outcome, answer))

    def _kept(self, entry: Received, outcome: Outcome, answer: Kept | Exception) -> None:
        queue_ms = entry.queue_ms(outcome)
        if isinstance(answer, Kept):
            if entry.receiver is not None:
                entry.receiver.kept(entry.frame.seq)
            if outcome.error is not None:
                self._settle(entry, entry.failed(outcome.error, outcome), type(outcome.error).__name__)
                return
            done = Ack(0, Status.DECODED, answer.side, 0, queue_ms, outcome.decode_ms)
            self._settle(entry, done, "")
            return
        lasting = entry.durable and isinstance(answer, OSError)
        told = str(answer) if isinstance(answer, OSError) else told_to_peer(answer)
        if isinstance(answer, OSError) and answer.strerror:
            told = answer.strerror  # paths of ours are nobody's business
        status = Status.UNKEPT if lasting else Status.FAILED
        self._settle(entry, Ack(0, status, None, 0, queue_ms, outcome.decode_ms, f"not kept: {told}"), "sink")

    # --- answers --------------------------------------------------------------------------------------------

    def _add(self, entry: Received) -> None:
        self._entries[entry] = None

    def _drop(self, entry: Received, reason: str, now_ns: int | None = None) -> None:
        """Give a frame up before it was decoded; a durable one may come again."""
        queue_ms = 0.0 if now_ns is None else max(now_ns - entry.received_ns, 0) / 1e6
        status = Status.UNKEPT if entry.durable else Status.DROPPED
        self._settle(entry, Ack(0, status, queue_ms=queue_ms, detail=reason), reason)

    def _settle(self, entry: Received, answer: Ack, reason: str) -> None:
        """Answer the frame in `entry` for good; `reason` is the class it is counted in unless decoded."""
        self._entries.pop(entry, None)
        if len(self._entries) < self._rooms.window:
            self._free.set()
        if entry.receiver is not None:
            entry.receiver.let_go(entry.frame.seq)  # where it was kept, it is no longer pending anyway
        self._answer(entry, answer, reason)
        if self._hints.busy:
            self._hint()

    def _answer(self, entry: Received, answer: Ack, reason: str) -> None:
        self._rooms.totals.settle(answer, reason)
        cumulative = 0 if entry.receiver is None else entry.receiver.cumulative
        frame = entry.frame
        entry.connection.settle(
            replace(answer, seq=frame.seq, capture_ns=frame.capture_ns, cumulative=cumulative)
        )

    def _hint(self) -> None:
        """Tell the vehicle how much waits, when that is due; look again while it has not cleared."""
        if self._to is None or self._to.closed:
            return
        now_ns = time.monotonic_ns()
        oldest = next(iter(self._entries), None)
        queue_ms = 0.0 if oldest is None else (now_ns - oldest.received_ns) / 1e6
        hint = self._hints.hint(now_ns, len(self._entries), queue_ms)
        if hint is not None:
            self._to.outbox.put_nowait(hint)
        if self._hints.busy and self._hint_timer is None:
            self._hint_timer = asyncio.get_running_loop().call_later(EVERY_NS / 1e9, self._hint_again)

    def _hint_again(self) -> None:
        self._hint_timer = None
        self._hint()
