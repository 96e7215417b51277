"""One vehicle of a load test: a real gRPC connection of its own, driven by the caller, answers counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc

from benchmarks.gateway.traffic import BUNDLE_ID, HEIGHT, SIDE_HEIGHT, SIDE_WIDTH, WIDTH
from common.errors import CloudUnreachable, MdicError, PeerRejected, ProtocolViolation
from common.stream.limits import client_options
from common.stream.messages import Ack, End, Fault, Goodbye, Hello, MainFrame, Ping, Role, SideFrame, Welcome
from common.stream.wire import parse_downlink, serialize_uplink
from common.types import SideCodec

METHOD = "/mdic.stream.v1.Ingest/Push"
CONNECT_TIMEOUT_S = 30.0
END_TIMEOUT_S = 60.0


class Vehicle:
    """Send frames on one connection and follow each to its ack."""

    def __init__(self, address: str, name: str, side: bool = False) -> None:
        """Prepare; nothing is sent before `open`.

        Args:
            address: HOST:PORT of the server.
            name: of the vehicle.
            side: whether it sends side views too.
        """
        self.address, self.name, self.side = address, name, side
        self.sent = self.sides_sent = 0
        self.statuses: Counter[str] = Counter()
        self.in_flight: dict[int, int] = {}  # seq -> when it was sent, monotonic ns
        self.window = 1
        self.goodbye: Goodbye | None = None
        self.failure: MdicError | None = None
        self.on_ack: Callable[[int, int], None] = lambda sent_ns, now_ns: None
        self._change = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._channel: Any = None
        self._call: Any = None
        self._welcomed = asyncio.Event()

    async def open(self) -> None:
        """Connect and wait for the welcome.

        Raises:
            MdicError: the server cannot be reached or refuses.
        """
        # Channels to one address share a TCP connection unless told otherwise; vehicles do not.
        options = [*client_options(), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(self.address, options=options)
        method = self._channel.stream_stream(METHOD, serialize_uplink, parse_downlink)
        self._call = method(wait_for_ready=True)
        self._reader = asyncio.ensure_future(self._read())
        await self._call.write(self._hello())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._welcomed.wait(), CONNECT_TIMEOUT_S)
        if self.failure is not None:
            raise self.failure
        if not self._welcomed.is_set():
            raise CloudUnreachable(self.address, f"no welcome within {CONNECT_TIMEOUT_S:g} s")

    async def send(self, seq: int, capture_ns: int, packet: bytes, side: bytes | None = None) -> None:
        """Send a frame, its side view first.

        Raises:
            MdicError: the connection broke.
        """
        try:
            if side is not None:
                await self._call.write(SideFrame(seq, capture_ns, side))
                self.sides_sent += 1
            self.in_flight[seq] = time.monotonic_ns()
            self.sent += 1
            await self._call.write(MainFrame(seq, capture_ns, packet))
        except (grpc.RpcError, asyncio.InvalidStateError, asyncio.CancelledError) as error:
            raise self.failure or CloudUnreachable(self.address, f"connection lost: {error}") from error

    async def ping(self) -> None:
        """Send a heartbeat, as a vehicle does each second."""
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await self._call.write(Ping(time.monotonic_ns()))

    async def room(self, most: int) -> None:
        """Wait until fewer than `most` frames, and than the window allows, wait for their ack.

        Raises:
            MdicError: the connection broke.
        """
        while len(self.in_flight) >= min(most, self.window) and self.failure is None:
            self._change.clear()
            await self._change.wait()
        if self.failure is not None:
            raise self.failure

    async def end(self) -> None:
        """Say the end and wait for the goodbye.

        Raises:
            MdicError: it did not come, or not every frame was answered.
        """
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await self._call.write(End(self.sent, self.sides_sent))
            await self._call.done_writing()
        assert self._reader is not None
        await asyncio.wait({self._reader}, timeout=END_TIMEOUT_S)
        await self.close()
        if self.failure is not None:
            raise self.failure
        if self.goodbye is None or self.in_flight:
            raise ProtocolViolation(
                f"{self.name}: no goodbye, or {len(self.in_flight)} frames without an ack"
            )

    async def close(self) -> None:
        """Free the connection."""
        if self._reader is not None:
            self._reader.cancel()
        if self._call is not None:
            self._call.cancel()
        if self._channel is not None:
            await self._channel.close()

    def _hello(self) -> Hello:
        side = {"side_height": SIDE_HEIGHT, "side_width": SIDE_WIDTH, "side_codec": SideCodec.JPEG}
        return Hello(
            vehicle=self.name,
            role=Role.BOTH if self.side else Role.MAIN,
            bundle_id=BUNDLE_ID,
            height=HEIGHT,
            width=WIDTH,
            camera="load",
            stream_id=os.urandom(16),
            **(side if self.side else {}),  # type: ignore[arg-type]
        )

    async def _read(self) -> None:
        """Take answers until the connection ends."""
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                self._take(message)
        except grpc.RpcError as error:
            detail = f"{error.code().name}: {error.details()}"
            self._fail(CloudUnreachable(self.address, detail))
        except MdicError as error:
            self._fail(error)
        finally:
            self._welcomed.set()
            self._change.set()

    def _take(self, message: object) -> None:
        if isinstance(message, Ack):
            sent_ns = self.in_flight.pop(message.seq, None)
            if sent_ns is None:
                raise ProtocolViolation(
                    f"ack of frame {message.seq}, which was not sent or is settled already"
                )
            self.statuses[message.status.name.lower()] += 1
            self._change.set()
            self.on_ack(sent_ns, time.monotonic_ns())
        elif isinstance(message, Welcome):
            self.window = message.max_in_flight
            self._welcomed.set()
        elif isinstance(message, Fault):
            self._fail(PeerRejected(message.code, message.message))
        elif isinstance(message, Goodbye):
            self.goodbye = message

    def _fail(self, why: MdicError) -> None:
        if self.failure is None and self.goodbye is None:
            self.failure = why
