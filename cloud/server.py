"""The gRPC side of the cloud: one thin servicer, health and reflection (proto/TRANSPORT.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import grpc

from cloud.connection import Connection
from cloud.registry import Registry
from cloud.security.callers import Caller, current_caller
from cloud.security.interceptor import Guard
from cloud.security.watchdog import Watchdog
from cloud.sessions import VehicleSession
from cloud.status import CloudClosing, HelloTimeout, SilentPeer, Superseded, fault_of, status_of
from common.errors import MdicError, MissingDependency, PortInUse, ProtocolViolation
from common.pb import ingest_pb2, ingest_pb2_grpc
from common.stream.convert import downlink_to_pb, uplink_from_pb
from common.stream.limits import server_options
from common.stream.messages import (
    End,
    Hello,
    MainFrame,
    Ping,
    Pong,
    SideFrame,
    Telemetry,
    UplinkMessage,
    Welcome,
)
from common.stream.wire import unfold_uplink

LOG = logging.getLogger(__name__)

SERVICE = "mdic.stream.v1.Ingest"
HELLO_TIMEOUT_S = 10.0
SILENCE_S = 30.0
"""An edge says something every second; one that does not, or takes no answers, for this long is cut off."""
MAX_CALLS = 640
"""Open calls of any kind: two connections for each of 256 vehicles, and probes."""
_LAST_WORDS_S = 5.0
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # not in the stubs


class Ingest(ingest_pb2_grpc.IngestServicer):
    """Carry messages between connections and their sessions."""

    def __init__(
        self,
        registry: Registry,
        hello_timeout_s: float = HELLO_TIMEOUT_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._registry = registry
        self._hello_timeout_s = hello_timeout_s
        self._silence_s = silence_s

    async def Push(  # type: ignore[override]
        self, request_iterator: object, context: Any
    ) -> None:
        """Serve one connection from its hello to its goodbye."""
        try:
            hello = await self._hello(context)
            current_caller().authorise(hello)  # before anything of the vehicle's session is touched
            session, connection = await self._registry.join(hello)
        except Exception as error:
            await _refuse(context, error)
            return
        try:
            last = await self._serve(context, session, connection)
        finally:
            self._registry.leave(session, connection)
        if last is not None:
            await _refuse(context, last)

    async def _hello(self, context: Any) -> Hello:
        try:
            first = await asyncio.wait_for(_next(context), self._hello_timeout_s)
        except asyncio.TimeoutError:
            raise HelloTimeout(self._hello_timeout_s) from None
        if not isinstance(first, Hello):
            raise ProtocolViolation(f"the first message is {_kind(first)}, not a hello")
        return first

    async def _serve(self, context: Any, session: VehicleSession, connection: Connection) -> Exception | None:
        """Exchange messages until the connection is over; return the error to end it with."""
        at = connection.welcome
        welcome = Welcome(
            session.name, self._registry.window, next_seq=at.next_seq, held=at.held, base_seq=at.base_seq
        )
        await context.write(downlink_to_pb(welcome))
        heard, taken = Watchdog(self._silence_s), Watchdog(self._silence_s)
        writer = asyncio.ensure_future(_write(context, connection, taken))
        reader = asyncio.ensure_future(_read(context, session, connection, current_caller(), heard))
        closing = asyncio.ensure_future(self._registry.closing.wait())
        superseded = asyncio.ensure_future(connection.superseded.wait())
        dogs = [asyncio.ensure_future(dog.bark()) for dog in (heard, taken)]
        try:
            ends = {reader, closing, superseded, *dogs}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if superseded.done():
                return Superseded()
            if any(dog.done() for dog in dogs):
                return SilentPeer(self._silence_s)
            last = await _result(reader) if reader.done() else CloudClosing()
            if last is None:
                reader = asyncio.ensure_future(_nothing_more(context, connection))
                last = await _first_of(session.end(connection), reader, superseded)
            elif isinstance(last, (CloudClosing, _Unended)):
                reader.cancel()
                await session.end(connection, ended=isinstance(last, CloudClosing))
            if last is None:
                connection.outbox.put_nowait(connection.goodbye())
            connection.outbox.put_nowait(None)
            await writer
            return last
        finally:
            for task in (reader, writer, closing, superseded, *dogs):
                task.cancel()


class _Unended(ProtocolViolation):
    """The stream was half-closed without an end."""

    def __init__(self) -> None:
        super().__init__("the stream was closed without an end")


async def _next(context: Any) -> UplinkMessage | None:
    """Return the next message, or None when the peer half-closed the stream."""
    message = await context.read()
    return None if message is _EOF else uplink_from_pb(message)


async def _read(
    context: Any, session: VehicleSession, connection: Connection, caller: Caller, heard: Watchdog
) -> None:
    """Take messages up to the end."""
    while True:
        heard.waits()
        raw = await context.read()
        heard.served()
        if raw is _EOF:
            raise _Unended
        await caller.pay(raw, connection.hello)
        message = uplink_from_pb(raw)
        if isinstance(message, MainFrame):
            await session.room(connection)  # only frames wait: heartbeats are answered meanwhile
            session.take_main(connection, message)
        elif isinstance(message, SideFrame):
            await session.take_side(connection, message)
        elif isinstance(message, Ping):
            connection.receive_ping(message)
        elif isinstance(message, Telemetry):
            session.take_telemetry(connection, message)
        elif isinstance(message, End):
            connection.reception.take_end()
            return
        else:
            raise ProtocolViolation("a second hello")


async def _nothing_more(context: Any, connection: Connection) -> None:
    """Watch that nothing but heartbeats follows the end."""
    while (message := await _next(context)) is not None:
        if not isinstance(message, Ping):
            raise ProtocolViolation(f"{_kind(message)} after the end")
        connection.receive_ping(message)


async def _first_of(
    work: Coroutine[Any, Any, None], watch: asyncio.Future[None], superseded: asyncio.Future[Any]
) -> Exception | None:
    """Do `work` while `watch` raises nothing and no other connection comes; return what ended it otherwise."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, watch, superseded}, return_when=asyncio.FIRST_COMPLETED)
        if superseded.done():
            return Superseded()
        problem = await _result(watch) if watch.done() else None
        if problem is None:
            await task
        return problem
    finally:
        task.cancel()


async def _result(reader: asyncio.Future[None]) -> Exception | None:
    """Return what ended reading: None for an end as it should be."""
    try:
        await reader
    except MdicError as error:
        return error
    except grpc.RpcError as error:
        LOG.debug("connection broke: %s", error)
        return _Unended()
    except Exception as error:
        LOG.exception("a connection failed")
        return error
    return None


async def _write(context: Any, connection: Connection, taken: Watchdog) -> None:
    """Send answers until the closing mark."""
    while (message := await connection.outbox.get()) is not None:
        taken.waits()
        if isinstance(message, Pong):
            message = replace(message, sent_ns=time.monotonic_ns())
        await context.write(downlink_to_pb(message))
        taken.served()
        connection.sent(message)


async def _refuse(context: Any, error: Exception) -> None:
    """Send the fault and end the RPC with the status of `error`."""
    code, detail = status_of(error)
    if code is grpc.StatusCode.INTERNAL:
        LOG.error("a connection failed", exc_info=error)
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError, asyncio.TimeoutError):
        await asyncio.wait_for(context.write(downlink_to_pb(fault_of(error))), _LAST_WORDS_S)
    await context.abort(code, detail)


def _handlers(ingest: Ingest) -> Any:
    """Return the service's handlers as the generated code would, but for how a message is unfolded: bounds first."""
    push = grpc.stream_stream_rpc_method_handler(
        ingest.Push, unfold_uplink, ingest_pb2.Downlink.SerializeToString
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Push": push})


def _kind(message: object) -> str:
    return "nothing" if message is None else type(message).__name__


class StreamServer:
    """Listen, and end without losing what was received."""

    def __init__(self, max_calls: int = MAX_CALLS, guard: Guard | None = None) -> None:
        try:
            from grpc_health.v1 import health, health_pb2, health_pb2_grpc
            from grpc_reflection.v1alpha import reflection
        except ImportError as error:
            raise MissingDependency("grpcio-health-checking or grpcio-reflection", "cloud") from error
        self._guard = guard
        self._server: Any = grpc.aio.server(
            interceptors=[] if guard is None else [guard],
            options=server_options(),
            maximum_concurrent_rpcs=max_calls,
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in the stubs
        self._states = health_pb2.HealthCheckResponse
        self._registry: Registry | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def bind(self, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
        """Take the address and return its port (port 0: a free one); without credentials it is not encrypted.

        Raises:
            PortInUse: it cannot be had.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                bound = int(self._server.add_insecure_port(address))
            else:
                bound = int(self._server.add_secure_port(address, credentials))
        except RuntimeError:
            bound = 0
        if not bound:
            raise PortInUse(address)
        return bound

    async def start(self, registry: Registry, ingest: Ingest | None = None) -> None:
        """Answer connections."""
        self._registry = registry
        self._server.add_generic_rpc_handlers((_handlers(ingest or Ingest(registry)),))
        await self._server.start()
        if self._guard is not None:
            self._guard.start()
        for name in ("", SERVICE):
            await self._health.set(name, self._states.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Decode what was received for at most `grace_s`, drop the rest, end every connection."""
        await self._health.enter_graceful_shutdown()
        if self._registry is not None:
            await self._registry.shutdown(grace_s)
        await self._server.stop(_LAST_WORDS_S)
        if self._guard is not None:
            self._guard.stop()
        if self._registry is not None:
            await self._registry.close()
