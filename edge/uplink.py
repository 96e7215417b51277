"""Carry encoded frames to the cloud over one gRPC connection and take its answers (proto/TRANSPORT.md)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import grpc

from common.errors import CloudUnreachable, MdicError, PeerRejected, ProtocolViolation
from common.stream.clock import ClockEstimator, ClockSample
from common.stream.heartbeat import Heartbeat
from common.stream.limits import LIMITS, StreamLimits
from common.stream.messages import (
    Ack,
    DownlinkMessage,
    End,
    Fault,
    Hello,
    Hint,
    MainFrame,
    Ping,
    Pong,
    SideFrame,
    Status,
    Telemetry,
    Welcome,
)
from common.stream.queue import Closed
from common.stream.sender import Sender
from common.stream.wire import parse_downlink, serialize_uplink
from edge.credentials import Credentials, open_channel, tls_problem
from edge.outgoing import Dispatch, Source
from edge.report import StreamStats, wire_bytes

CONNECT_TIMEOUT_S = 10.0
SEND_QUEUE_FRAMES = 16
METHOD = "/mdic.stream.v1.Ingest/Push"
_UNREACHABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_IDLE_S = 1.0


class Listener(Protocol):
    """What wants to know how the connection is doing: the rate controller."""

    def on_sent(
        self, now_ns: int, seq: int, size: int, *, quality: int | None = None, main_bytes: int | None = None
    ) -> None:
        """Note that frame `seq` is on its way."""

    def on_ack(self, now_ns: int, seq: int, cloud_ms: float = 0.0) -> None:
        """Note the ack of frame `seq`."""

    def on_hint(self, now_ns: int, hint: Hint) -> None:
        """Take the cloud's word on its own queue."""

    def on_reset(self, now_ns: int) -> None:
        """Forget what was under way."""


class Uplink:
    """Send what `source` gives until that ends, over one connection; a later one needs another object.

    Two threads serve a connection: gRPC's own pulls messages out of `_requests` as fast as flow control lets
    it, and one of ours reads the answers. What may be sent, and what an answer means, is the sender's business.
    """

    def __init__(
        self,
        address: str,
        hello: Hello,
        source: Source,
        sender: Sender,
        change: threading.Condition,
        stats: StreamStats,
        *,
        oldest: int = 0,
        listener: Listener | None = None,
        limits: StreamLimits = LIMITS,
        credentials: Credentials | None = None,
    ) -> None:
        """Prepare; `connect` begins.

        Args:
            address: HOST:PORT of the cloud.
            hello: what to say first.
            source: where the frames come from.
            sender: the session machine, idle.
            change: guards the sender; notified when it changes.
            stats: counts what happens.
            oldest: durable: number of the first frame that the edge still holds.
            listener: wants to know.
            limits: of the messages.
            credentials: files that say who we are.
        """
        self.address, self.hello = address, hello
        self._source, self._sender, self._change, self._stats = source, sender, change, stats
        self._oldest, self._listener = oldest, listener
        self._limits, self._credentials = limits, credentials
        self._welcome: Welcome | None = None
        self._failure: MdicError | None = None
        self._fault: Fault | None = None
        self._taken: dict[int, int | None] = {}  # number on the wire -> when captured
        self._sent = {"main": 0, "side": 0}
        self._heartbeat = Heartbeat(stats.clock())
        self._clock = ClockEstimator()
        self._ended = False
        self._done = threading.Event()
        self._channel: grpc.Channel | None = None
        self._call: Any = None
        self.unkept = ""
        """Why the cloud could not keep a frame, when it said so."""

    def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> Welcome:
        """Open the connection and return the cloud's welcome.

        Raises:
            CloudUnreachable: nobody answers within `timeout_s`.
            CredentialsError: a certificate, key or token cannot be used.
            PeerRejected: the cloud refuses the hello.
            ProtocolViolation: the answer is no welcome we know.
        """
        self._channel = open_channel(self.address, self._credentials, self._limits)
        with self._change:
            self._sender.greet()
        # Bytes in, bytes out: what they mean is checked where the errors are ours.
        push = self._channel.stream_stream(METHOD, request_serializer=None, response_deserializer=None)
        self._call = push(self._requests())
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
    def lost(self) -> bool:
        """Whether the cloud leaves heartbeats unanswered for too long."""
        return self._heartbeat.lost(self._stats.clock())

    @property
    def clock(self) -> ClockSample | None:
        """Return the estimate of the cloud's clock against ours."""
        with self._change:
            return self._clock.best(self._stats.clock())

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
        """Free the connection."""
        self._done.set()
        if self._call is not None:
            self._call.cancel()
        if self._channel is not None:
            self._channel.close()

    # --- out ------------------------------------------------------------------------------------------------

    def _requests(self) -> Iterator[bytes]:
        """Yield the connection's messages; runs in gRPC's thread, paced by flow control."""
        yield serialize_uplink(self.hello)
        with self._change:
            self._change.wait_for(lambda: self._welcome or self._done.is_set())
        while not self._done.is_set():
            due_s = self._heartbeat.due_in_s(self._stats.clock())
            if due_s <= 0:
                yield self._ping()
                continue
            try:
                dispatch = self._source.next(min(due_s, _IDLE_S), self._done.is_set)
            except Closed:
                break
            if dispatch is not None:
                yield from self._messages(dispatch)
        with self._change:
            ending = not self._done.is_set() and self._sender.may_end
            if ending:
                self._sender.ended()
        if ending:
            yield serialize_uplink(self._end())

    def _ping(self) -> bytes:
        with self._change:
            now_ns = self._stats.clock()
            best = self._clock.best(now_ns)
            self._heartbeat.ping(now_ns)
        # A round trip of 0 would say that there is no estimate.
        return serialize_uplink(
            Ping(now_ns) if best is None else Ping(now_ns, best.offset_ns, max(best.rtt_ns, 1))
        )

    def _messages(self, dispatch: Dispatch) -> Iterator[bytes]:
        """Yield the messages of a dispatch, counted."""
        coded = [(message, serialize_uplink(message)) for message in dispatch.messages]
        main = dispatch.messages[-1]
        if isinstance(main, MainFrame):
            self._taken[main.seq] = dispatch.taken_ns
            if dispatch.again:
                self._stats.frames.add("resent")
            if self._listener is not None:
                size = sum(wire_bytes(len(data)) for _, data in coded)
                quality, packet = dispatch.quality, len(main.packet)
                self._listener.on_sent(
                    self._stats.clock(), main.seq, size, quality=quality, main_bytes=packet
                )
        for message, data in coded:
            self._count(message, len(data))
            yield data

    def _count(self, message: Telemetry | SideFrame | MainFrame, size: int) -> None:
        if isinstance(message, Telemetry):
            self._stats.sent_telemetry(size)
        else:
            self._sent["main" if isinstance(message, MainFrame) else "side"] += 1
            self._stats.sent(message, size)

    def _end(self) -> End:
        return End(
            main_frames=self._sent["main"],
            side_frames=self._sent["side"],
            main_dropped=self._stats.drop_counts("main"),
            side_dropped=self._stats.drop_counts("side"),
        )

    # --- in -------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Take the cloud's answers until the connection ends; runs in a thread of its own."""
        try:
            for data in self._call:
                message = parse_downlink(data, self._limits)
                with self._change:
                    self._take(message)
                    self._change.notify_all()
            if not self._ended and self._failure is None:
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

    def _take(self, message: DownlinkMessage) -> None:
        """Act on one answer.

        Raises:
            ProtocolViolation: it has no place here.
        """
        now_ns = self._stats.clock()
        self._heartbeat.heard(now_ns)
        if isinstance(message, Fault):
            self._fault = message
            self._fail(self._translate_fault(message))
        elif isinstance(message, Welcome):
            self._source.resumed(self._sender.connected(message, self._oldest))
            self._welcome = message
        elif self._welcome is None:
            raise ProtocolViolation(f"{type(message).__name__.lower()} before the welcome")
        elif isinstance(message, Ack):
            self._settle(message, now_ns)
        elif isinstance(message, Pong):
            if self._heartbeat.pong(message.edge_ns):
                self._clock.add(message.edge_ns, message.received_ns, message.sent_ns, now_ns)
        elif isinstance(message, Hint):
            self._sender.hinted(message)
            if self._listener is not None:
                self._listener.on_hint(now_ns, message)
        else:
            self._sender.goodbye()
            self._ended = True

    def _settle(self, ack: Ack, now_ns: int) -> None:
        settled = self._sender.acked(ack)
        self._source.settled(settled)
        taken_ns = self._taken.get(ack.seq)
        number = ack.seq - self._sender.wire(0)
        for known in (*settled.kept, *settled.failed, *settled.dropped):
            self._taken.pop(self._sender.wire(known), None)
        if ack.status is Status.UNKEPT and self._sender.wants_reconnect:
            self.unkept = ack.detail or "no reason given"
        if number in (*settled.kept, *settled.failed, *settled.dropped):
            self._stats.acknowledged(ack, None if taken_ns is None else (now_ns - taken_ns) / 1e6)
        self._stats.frames.add("held", len(settled.kept) - (number in settled.kept))
        if self._listener is not None:
            self._listener.on_ack(now_ns, ack.seq, ack.queue_ms + ack.decode_ms)

    def _fail(self, why: MdicError) -> None:
        with self._change:
            if self._failure is None and not self._ended:
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
            why = tls_problem(details) or (told.group(1) if told else details or code.name)
            return CloudUnreachable(self.address, why)
        return PeerRejected(code.name, details or "no details")
