"""Bytes that are no message: refused as a violation, in words, without a defect of ours in the log."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from fake_edge import hello

from cloud.commands.serve import ServeOptions, serve
from cloud.engine.null import NullEngine
from cloud.pairing import PairingLimits
from common.pb import ingest_pb2
from common.stream.wire import serialize_uplink

METHOD = "/mdic.stream.v1.Ingest/Push"
MANY_MEMBERS = b"\x0a\x00\x12\x00" * 100_000


async def push(address: str, messages: list[bytes]) -> tuple[grpc.StatusCode, list[str]]:
    """Send raw bytes; return the status and the kinds of the answers."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(METHOD)()  # no serialisers: bytes as they are
        told = []
        try:
            for message in messages:
                await call.write(message)
            while (answer := await call.read()) is not grpc.aio.EOF:
                told.append(ingest_pb2.Downlink.FromString(answer))
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass
        code = await call.code()
        return code, [f"{m.WhichOneof('kind')}{m.fault.code or ''}" for m in told]


@pytest.mark.parametrize("bad", [b"\xff\xff", b"", MANY_MEMBERS, b"\x12\x02\xff\xff"])
@pytest.mark.parametrize("first", [True, False])
def test_bytes_that_are_no_message_are_a_violation(
    bad: bytes, first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> tuple[grpc.StatusCode, list[str]]:
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        options = ServeOptions("127.0.0.1", 0, PairingLimits())
        server = asyncio.ensure_future(
            serve(options, NullEngine, [], lambda said: listening.set_result(said.split()[-1]), stop)
        )
        try:
            address = await asyncio.wait_for(listening, 20)
            return await asyncio.wait_for(
                push(address, [bad] if first else [serialize_uplink(hello()), bad]), 20
            )
        finally:
            stop.set()
            await server

    with caplog.at_level(logging.ERROR):
        code, told = asyncio.run(scene())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert told[-1] == "fault43"
    # grpc wakes event loops of tests before this one, which are closed, and asyncio reports that as an error of theirs.
    ours = [record for record in caplog.records if "PollerCompletionQueue" not in record.getMessage()]
    assert not [record for record in ours if record.levelno >= logging.ERROR]
