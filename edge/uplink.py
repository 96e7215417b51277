"""Carry encoded frames to the cloud over one gRPC connection and take its acks (proto/TRANSPORT.md)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from common.errors import CloudUnreachable, MdicError, PeerRejected, ProtocolViolation
from common.pb import ingest_pb2
from common.pb.ingest_pb2_grpc import IngestStub
from common.stream.convert import downlink_from_pb, uplink_to_pb
from common.stream.limits import LIMITS, WIRE_VERSION, StreamLimits, client_options
from common.stream.messages import (
    Ack,
    DownlinkMessage,
    End,
    Fault,
    Goodbye,
    Hello,
    MainFrame,
    SideFrame,
    Welcome,
)
from common.stream.queue import BoundedQueue, Closed
from edge.report import StreamStats

CONNECT_TIMEOUT_S = 10.0
SEND_QUEUE_FRAMES = 16
_UNREACHABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass(frozen=True)
class Outgoing:
    """One captured frame, encoded: either view may be missing. `taken_ns` is the edge's monotonic clock."""

    taken_ns: int
    main: MainFrame | None
    side: SideFrame | None


class Uplink:
    """Send what is in `queue`, oldest first, until `finish`.

    Two threads serve a connection: gRPC's own pulls messages out of `_requests` as fast as flow control lets
    it, and one of ours reads the answers. With `wait` the window of the welcome is respected: `_requests`
    holds back main frames, the queue fills, and whoever fills it has to wait.
    """

    def __init__(
        self,
        address: str,
        hello: Hello,
        stats: StreamStats,
        *,
        wait: bool = False,
        limits: StreamLimits = LIMITS,
    ) -> None:
        self.address, self.hello = address, hello
        self.queue: BoundedQueue[Outgoing] = BoundedQueue(SEND_QUEUE_FRAMES)
        self._stats, self._wait, self._limits = stats, wait, limits
        self._welcome: Welcome | None = None
        self._failure: MdicError | None = None
        self._fault: Fault | None = None
        self._goodbye: Goodbye | None = None
        self._in_flight: dict[int, int] = {}  # seq -> taken_ns, in the order sent
        self._change = threading.Condition()  # guards the five above
        self._answered_ns = stats.clock()
        self._done = threading.Event()
        self._channel: grpc.Channel | None = None
        self._call: Any = None

    def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> Welcome:
        """Open the connection and return the cloud's welcome.

        Raises:
            CloudUnreachable: nobody answers within `timeout_s`.
            PeerRejected: the cloud refuses the hello.
            ProtocolViolation: the answer is no welcome we know.
        """
        self._channel = grpc.insecure_channel(self.address, options=client_options(self._limits))
        self._call = IngestStub(self._channel).Push(self._requests())
        threading.Thread(target=self._receive, name="uplink-acks", daemon=True).start()
        with self._change:
            self._change.wait_for(lambda: self._welcome or self._done.is_set(), timeout_s)
            welcome = self._welcome
        if welcome is None:
            self.give_up(CloudUnreachable(self.address, f"no answer within {timeout_s:g} s"))
            raise self._failure or ProtocolViolation("the cloud ended the connection before a welcome")
        return welcome

    @property
    def failure(self) -> MdicError | None:
        """Return why the connection ended before its time, or None."""
        return self._failure

    @property
    def done(self) -> bool:
        """Whether the connection has ended, well or not."""
        return self._done.is_set()

    @property
    def goodbye(self) -> Goodbye | None:
        """Return the cloud's last word, when it came."""
        return self._goodbye

    @property
    def window_full(self) -> bool:
        """Whether `max_in_flight` frames or more wait for their ack."""
        return self._welcome is not None and len(self._in_flight) >= self._welcome.max_in_flight

    @property
    def silence_s(self) -> float:
        """Return the time since the cloud said anything."""
        return (self._stats.clock() - self._answered_ns) / 1e9

    def lag_ms(self) -> float:
        """Return the age of the oldest frame sent and not acknowledged; 0 without one."""
        with self._change:
            oldest = next(iter(self._in_flight.values()), None)
        return 0.0 if oldest is None else (self._stats.clock() - oldest) / 1e6

    def finish(self) -> None:
        """Send what is still queued, then the end."""
        self.queue.close()
        self._answered_ns = self._stats.clock()

    def wait_done(self, timeout_s: float) -> bool:
        """Wait until the connection has ended; return whether it has."""
        return self._done.wait(timeout_s)

    def give_up(self, why: MdicError) -> None:
        """End the connection now, for this reason unless it already failed for another."""
        self._fail(why)
        if self._call is not None:
            self._call.cancel()
        self._done.wait(1.0)

    def close(self) -> None:
        """Free the connection; what is queued is counted as dropped."""
        self._discard()
        if self._call is not None:
            self._call.cancel()
        if self._channel is not None:
            self._channel.close()

    # --- out ------------------------------------------------------------------------------------------------

    def _requests(self) -> Iterator[ingest_pb2.Uplink]:
        """Yield the connection's messages; runs in gRPC's thread, paced by flow control."""
        yield uplink_to_pb(self.hello)
        with self._change:
            self._change.wait_for(lambda: self._welcome or self._done.is_set())
        last_side: int | None = None
        while not self._done.is_set():
            try:
                item = self.queue.get()
            except Closed:
                break
            if item is None:
                continue
            side = item.side
            if side is not None and not side.keyframe and side.reference_seq != last_side:
                # The frame it builds on was dropped: sending it would only cost bytes.
                self._stats.dropped("send_queue", main=False, side=True)
                side = None
            if side is not None:
                last_side = side.seq
                yield self._count(side)
            if item.main is not None and self._take_window(item):
                yield self._count(item.main)
        if not self._done.is_set():
            yield uplink_to_pb(self._end())

    def _take_window(self, item: Outgoing) -> bool:
        """Note a main frame as in flight, once there is room if that is asked for; False when all is over."""
        if item.main is None:
            return False
        with self._change:
            if self._wait:
                self._change.wait_for(lambda: not self.window_full or self._done.is_set())
            if self._done.is_set():
                self._stats.dropped("shutdown", main=True, side=False)
                return False
            self._in_flight[item.main.seq] = item.taken_ns
        return True

    def _count(self, frame: MainFrame | SideFrame) -> ingest_pb2.Uplink:
        message = uplink_to_pb(frame)
        self._stats.sent(frame, message.ByteSize())
        return message

    def _end(self) -> End:
        stats = self._stats
        return End(
            main_frames=stats.frames["main_sent"],
            side_frames=stats.frames["side_sent"],
            main_dropped=stats.drop_counts("main"),
            side_dropped=stats.drop_counts("side"),
        )

    # --- in -------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take the cloud's answers until the connection ends; runs in a thread of its own."""
        try:
            for raw in self._call:
                self._take(downlink_from_pb(raw, self._limits))
            if self._goodbye is None and self._failure is None:
                raise ProtocolViolation("the cloud ended the connection without a goodbye")
        except grpc.RpcError as error:
            self._fail(self._translate(error))
        except MdicError as error:
            self._fail(error)
            self._call.cancel()
        finally:
            with self._change:
                self._done.set()
                self._change.notify_all()
            self._discard()

    def _take(self, message: DownlinkMessage) -> None:
        """Act on one answer.

        Raises:
            ProtocolViolation: it has no place here.
        """
        self._answered_ns = self._stats.clock()
        if isinstance(message, Fault):
            self._fault = message
            self._fail(self._translate_fault(message))
        elif isinstance(message, Welcome):
            if self._welcome is not None:
                raise ProtocolViolation("a second welcome")
            if message.wire_version != WIRE_VERSION:
                raise ProtocolViolation(
                    f"the cloud speaks wire version {message.wire_version}, we {WIRE_VERSION}"
                )
            with self._change:
                self._welcome = message
                self._change.notify_all()
        elif self._welcome is None:
            raise ProtocolViolation(f"{type(message).__name__.lower()} before the welcome")
        elif isinstance(message, Ack):
            self._settle(message)
        else:
            self._goodbye = message

    def _settle(self, ack: Ack) -> None:
        with self._change:
            taken_ns = self._in_flight.pop(ack.seq, None)
            self._change.notify_all()
        if taken_ns is None:
            raise ProtocolViolation(f"ack of frame {ack.seq}, which was not sent or is settled already")
        self._stats.acknowledged(ack, (self._stats.clock() - taken_ns) / 1e6)

    def _fail(self, why: MdicError) -> None:
        with self._change:
            if self._failure is None and self._goodbye is None:
                self._failure = why

    def _translate_fault(self, fault: Fault) -> MdicError:
        if fault.code == CloudUnreachable.exit_code:
            return CloudUnreachable(self.address, fault.message)
        return PeerRejected(fault.code, fault.message)

    def _translate(self, error: grpc.RpcError) -> MdicError:
        """Return our error for the RPC's status; an earlier fault says it better."""
        if self._fault is not None:
            return self._translate_fault(self._fault)
        code, details = error.code(), error.details() or ""
        if code in _UNREACHABLE:
            told = re.search(r"Failed to connect to remote host: (?:connect: )?(.*)", details)
            return CloudUnreachable(self.address, told.group(1) if told else details or code.name)
        return PeerRejected(code.name, details or "no details")

    def _discard(self) -> None:
        """Empty the queue for good and count what was in it."""
        for item in self.queue.abort():
            self._stats.dropped("shutdown", main=item.main is not None, side=item.side is not None)
