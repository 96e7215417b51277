"""Sockets and streams that are only held open are cut; probes on a quiet stream are not taken for abuse."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import grpc
import pytest
from fake_callers import Realm
from fake_cloud import cloud, go, until
from fake_edge import Edge, hello, main

from cloud.security.opening import open_security
from common.stream import limits
from common.stream.messages import MainFrame, Role, Welcome

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def cut_after(address: str, first: bytes) -> float:
    """Open a socket, send `first`, then nothing; return the seconds until the server closes it."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    begun = time.monotonic()
    writer.write(first)
    with contextlib.suppress(ConnectionError):
        while await asyncio.wait_for(reader.read(4096), 15):
            pass
    writer.close()
    return time.monotonic() - begun


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "first", [b"", PREFACE[:10], PREFACE, b"\x16\x03\x01"], ids=["nothing", "part", "preface", "hello"]
)
def test_a_socket_that_is_only_held_open_is_cut(tls: bool, first: bytes, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_MS", 500)

    async def check() -> None:
        _, credentials = open_security(Realm(tmp_path).files, None) if tls else (None, None)
        async with cloud(credentials=credentials) as c:
            assert await cut_after(c.address, first) < 5

    go(check())


def test_a_connection_without_calls_is_cut(monkeypatch) -> None:
    monkeypatch.setattr(limits, "IDLE_CONNECTION_MS", 1000)
    settings = bytes(3) + b"\x04" + bytes(5)  # an empty SETTINGS frame: the handshake is complete

    async def check() -> None:
        async with cloud() as c:
            assert 0.5 < await cut_after(c.address, PREFACE + settings) < 8

    go(check())


def test_more_sockets_than_allowed_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 3)

    async def check() -> None:
        async with cloud() as c:
            host, _, port = c.address.partition(":")
            held = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
            greetings = [await asyncio.wait_for(reader.read(9), 10) for reader, _ in held]
            assert all(greetings)  # served: each hears the server's settings
            assert await cut_after(c.address, PREFACE) < 2
            for _, writer in held:
                writer.close()

    go(check())


def test_more_calls_on_one_connection_than_allowed_wait(monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_CALLS_PER_CONNECTION", 2)

    async def check() -> None:
        async with cloud() as c, grpc.aio.insecure_channel(c.address) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
            calls = {asyncio.ensure_future(call.read()): call for call in (watch(b"") for _ in range(3))}
            served: set[asyncio.Future] = set()
            while len(served) < 2:
                served |= (await asyncio.wait(calls, timeout=10, return_when=asyncio.FIRST_COMPLETED))[0]
                await asyncio.sleep(0.01)
            (waiting,) = set(calls) - served
            assert not (await asyncio.wait({waiting}, timeout=0.5))[0]
            calls[served.pop()].cancel()
            assert await asyncio.wait_for(waiting, 10)
            for call in calls.values():
                call.cancel()

    go(check())


def test_a_stream_without_hello_and_one_that_falls_silent_are_cut() -> None:
    async def check() -> None:
        async with cloud(hello_timeout_s=0.3, silence_s=0.6, linger_s=0.1) as c:
            mute = c.edge()
            await mute.hear()
            assert await mute.status() is grpc.StatusCode.DEADLINE_EXCEEDED
            half_open = c.edge()
            assert isinstance(await half_open.open(hello(Role.MAIN)), Welcome)
            await half_open.send(main(0))
            while await half_open.hear() is not None:
                pass
            assert half_open.fault is not None and "nothing came for 0.6 s" in half_open.fault.message
            assert await half_open.status() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: c.registry.sessions == 0)
            assert [frame.seq for frame in c.sink.frames] == [0]  # what came before is not lost

    go(check())


def test_a_peer_that_takes_no_answers_is_cut(monkeypatch) -> None:
    monkeypatch.setattr("cloud.server._LAST_WORDS_S", 0.3)

    async def check() -> None:
        async with cloud(silence_s=2.0, linger_s=0.1) as c:
            deaf = c.edge()
            assert isinstance(await deaf.open(hello(Role.MAIN)), Welcome)
            sending = asyncio.ensure_future(
                deaf.send(*(MainFrame(seq, seq, b"corrupt") for seq in range(20_000)))
            )
            # Reading stops while its acks pile up, and then nothing moves any more.
            await until(lambda: c.totals.received > 1000)
            await until(lambda: c.registry.sessions == 0, 20)
            assert c.totals.received < 10_000
            sending.cancel()

    go(check())


async def lasts(seconds: float) -> grpc.StatusCode | None:
    """Keep a welcomed stream open without a word; return how it ended, None while it lives."""
    async with cloud() as c:
        edge = Edge(c.address)
        assert isinstance(await edge.open(hello(Role.MAIN)), Welcome)
        over = asyncio.ensure_future(edge.hear())
        await asyncio.wait({over}, timeout=seconds)
        status = await edge.status() if over.done() else None
        await edge.close()
        return status


def test_probes_on_an_open_quiet_stream_are_not_too_many_pings(monkeypatch) -> None:
    monkeypatch.setattr(limits, "KEEPALIVE_TIME_MS", 200)
    assert asyncio.run(lasts(3.0)) is None  # some 15 probes of each side


def test_without_our_option_the_same_probes_are_too_many(monkeypatch) -> None:
    """The test above can fail: gRPC's own patience is five minutes."""
    monkeypatch.setattr(limits, "KEEPALIVE_TIME_MS", 200)
    ours = limits.server_options

    def impatient() -> list[tuple[str, int]]:
        return [option for option in ours() if option[0] != "grpc.http2.min_ping_interval_without_data_ms"]

    monkeypatch.setattr("cloud.server.server_options", impatient)
    assert asyncio.run(lasts(10.0)) is grpc.StatusCode.UNAVAILABLE
