"""The gRPC side of the cloud: one thin servicer, health and reflection (proto/TRANSPORT.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

import grpc

from cloud.connection import Connection
from cloud.registry import Registry
from cloud.sessions import VehicleSession
from cloud.status import CloudClosing, HelloTimeout, fault_of, status_of
from common.errors import MdicError, MissingDependency, PortInUse, ProtocolViolation
from common.pb import ingest_pb2_grpc
from common.stream.convert import downlink_to_pb, uplink_from_pb
from common.stream.limits import server_options
from common.stream.messages import Ack, End, Hello, MainFrame, SideFrame, UplinkMessage, Welcome

LOG = logging.getLogger(__name__)

SERVICE = "mdic.stream.v1.Ingest"
HELLO_TIMEOUT_S = 10.0
MAX_IN_FLIGHT = 256
MAX_CALLS = 640
"""Open calls of any kind: two connections for each of 256 vehicles, and probes."""
_LAST_WORDS_S = 5.0
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # not in the stubs


class Ingest(ingest_pb2_grpc.IngestServicer):
    """Carry messages between connections and their sessions."""

    def __init__(
        self,
        registry: Registry,
        max_in_flight: int = MAX_IN_FLIGHT,
        hello_timeout_s: float = HELLO_TIMEOUT_S,
    ) -> None:
        self._registry = registry
        self._max_in_flight = max_in_flight
        self._hello_timeout_s = hello_timeout_s

    async def Push(  # type: ignore[override]
        self, request_iterator: object, context: Any
    ) -> None:
        """Serve one connection from its hello to its goodbye."""
        try:
            hello = await self._hello(context)
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
        await context.write(downlink_to_pb(Welcome(session.name, self._max_in_flight)))
        writer = asyncio.ensure_future(_write(context, connection))
        reader = asyncio.ensure_future(_read(context, session, connection))
        closing = asyncio.ensure_future(self._registry.closing.wait())
        try:
            await asyncio.wait({reader, closing}, return_when=asyncio.FIRST_COMPLETED)
            last = await _result(reader) if reader.done() else CloudClosing()
            if last is None:
                reader = asyncio.ensure_future(_nothing_more(context))
                last = await _first_of(session.end(connection), reader)
            elif isinstance(last, (CloudClosing, _Unended)):
                reader.cancel()
                await session.end(connection, ended=isinstance(last, CloudClosing))
            if last is None:
                connection.outbox.put_nowait(connection.goodbye())
            connection.outbox.put_nowait(None)
            await writer
            return last
        finally:
            for task in (reader, writer, closing):
                task.cancel()


class _Unended(ProtocolViolation):
    """The stream was half-closed without an end."""

    def __init__(self) -> None:
        super().__init__("the stream was closed without an end")


async def _next(context: Any) -> UplinkMessage | None:
    """Return the next message, or None when the peer half-closed the stream."""
    message = await context.read()
    return None if message is _EOF else uplink_from_pb(message)


async def _read(context: Any, session: VehicleSession, connection: Connection) -> None:
    """Take messages up to the end."""
    while True:
        message = await _next(context)
        if isinstance(message, MainFrame):
            session.take_main(connection, message)
            await connection.room()
        elif isinstance(message, SideFrame):
            await session.take_side(connection, message)
        elif isinstance(message, End):
            return
        elif message is None:
            raise _Unended
        else:
            raise ProtocolViolation("a second hello")


async def _nothing_more(context: Any) -> None:
    """Watch that nothing follows the end."""
    message = await _next(context)
    if message is not None:
        raise ProtocolViolation(f"{_kind(message)} after the end")


async def _first_of(work: Coroutine[Any, Any, None], watch: asyncio.Future[None]) -> Exception | None:
    """Do `work` while `watch` raises nothing; return what it raised otherwise."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
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


async def _write(context: Any, connection: Connection) -> None:
    """Send answers until the closing mark."""
    while (message := await connection.outbox.get()) is not None:
        await context.write(downlink_to_pb(message))
        if isinstance(message, Ack):
            connection.ack_sent()


async def _refuse(context: Any, error: Exception) -> None:
    """Send the fault and end the RPC with the status of `error`."""
    code, detail = status_of(error)
    if code is grpc.StatusCode.INTERNAL:
        LOG.error("a connection failed", exc_info=error)
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
        await context.write(downlink_to_pb(fault_of(error)))
    await context.abort(code, detail)


def _kind(message: object) -> str:
    return "nothing" if message is None else type(message).__name__


class StreamServer:
    """Listen, and end without losing what was received."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        try:
            from grpc_health.v1 import health, health_pb2, health_pb2_grpc
            from grpc_reflection.v1alpha import reflection
        except ImportError as error:
            raise MissingDependency("grpcio-health-checking or grpcio-reflection", "cloud") from error
        self._server: Any = grpc.aio.server(options=server_options(), maximum_concurrent_rpcs=max_calls)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in the stubs
        self._states = health_pb2.HealthCheckResponse
        self._registry: Registry | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )

    def bind(self, host: str, port: int) -> int:
        """Take the address and return its port (port 0: a free one).

        Raises:
            PortInUse: it cannot be had.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = int(self._server.add_insecure_port(address))
        except RuntimeError:
            bound = 0
        if not bound:
            raise PortInUse(address)
        return bound

    async def start(self, registry: Registry, ingest: Ingest | None = None) -> None:
        """Answer connections."""
        self._registry = registry
        ingest_pb2_grpc.add_IngestServicer_to_server(ingest or Ingest(registry), self._server)
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, self._states.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Decode what was received for at most `grace_s`, drop the rest, end every connection."""
        await self._health.enter_graceful_shutdown()
        if self._registry is not None:
            await self._registry.shutdown(grace_s)
        await self._server.stop(_LAST_WORDS_S)
        if self._registry is not None:
            await self._registry.close()
