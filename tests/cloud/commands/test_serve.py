"""`mdic-cloud serve`: options, and a real process from its first line to its last."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from fake_cloud import PlainRequest, go
from fake_decoder import FakeDecoder
from fake_edge import Edge, hello, main, side

from cloud.__main__ import main as command
from cloud.commands.serve import ServeOptions, address_of, parse_address, serve
from cloud.engine.local import LocalEngine
from cloud.pairing import PairingLimits
from cloud.sinks.base import open_sink
from cloud.totals import Totals
from common.bitstream.container import Container
from common.errors import BundleNotFound, PortInUse, UsageError
from common.stream.messages import Goodbye, Status

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:50551", ("0.0.0.0", 50551)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert address_of(*address) == text


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:", "host:x", "host:-1", "host:65536", "host:²", "[]:1"]
)
def test_bad_addresses_name_themselves(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT") as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--listen", "nowhere"], UsageError, "nowhere"),
        (["--sink", "mcap:x"], UsageError, "mcap:x"),
        (["--grace", "-1"], UsageError, "--grace"),
        (["--tolerance-ms", "nan"], UsageError, "--tolerance-ms"),
        (["--steps", "0"], UsageError, "--steps 0"),
        (["--batch", "0"], UsageError, "--batch 0"),
        (["--bundle", "no-such-bundle"], BundleNotFound, "no-such-bundle"),
    ],
)
def test_options_that_make_no_sense(options: list[str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        command(["serve", *options] + ([] if "--bundle" in options else ["--engine", "null"]))


@pytest.mark.parametrize(("option", "on"), [([], True), (["--temporal"], True), (["--no-temporal"], False)])
def test_the_frame_before_helps_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: list[str], on: bool
) -> None:
    seen: list[ServeOptions] = []

    async def note(options: ServeOptions, *_: object, **__: object) -> Totals:
        seen.append(options)
        return Totals()

    monkeypatch.setattr("cloud.commands.serve.serve", note)
    assert command(["serve", "--engine", "null", *option]) == 0
    assert seen[0].temporal is on


def test_serving_from_the_first_frame_to_the_sinks(tmp_path: Path) -> None:
    """Everything but the networks: real server, real sinks, stopped while a vehicle is connected."""

    async def check() -> None:
        stop, lines = asyncio.Event(), []
        options = ServeOptions("127.0.0.1", 0, PairingLimits(), bundle_id=bytes(range(8)), grace_s=10)
        engine = LocalEngine(FakeDecoder(seconds=0.02), 4, convert=PlainRequest)
        sinks = [open_sink(f"images:{tmp_path / 'img'}"), open_sink(f"video:{tmp_path / 'v.mp4'}")]
        work = asyncio.ensure_future(serve(options, lambda: engine, sinks, lines.append, stop))
        while not lines:
            await asyncio.sleep(0.01)
        assert lines[0].startswith("listening on 127.0.0.1:")
        edge = Edge(lines[0].rpartition(" ")[2])
        await edge.open(hello())
        for seq in range(9):
            await edge.send(side(seq), main(seq))
        for _ in range(3):
            await edge.hear()
        stop.set()
        while await edge.hear() is not None:
            pass
        totals = await work
        await edge.close()
        # Whatever had been read when the stop came is decoded: at least what was acknowledged before.
        decoded = [a.seq for a in edge.acks.values() if a.status is Status.DECODED]
        assert len(decoded) >= 3 and totals.received == len(edge.acks)
        assert totals.frames[Status.DECODED] == len(decoded)
        assert len(list((tmp_path / "img" / "car-1" / "main").glob("*.png"))) == len(decoded)
        import av

        with av.open(str(tmp_path / "v.mp4")) as video:
            assert len(list(video.decode(video=0))) == len(decoded)

    go(check())


def test_a_taken_port_is_found_before_the_engine_is_opened() -> None:
    async def check(port: int) -> None:
        options = ServeOptions("127.0.0.1", port, PairingLimits())
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            await serve(options, lambda: pytest.fail("opened"), [], print, asyncio.Event())

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        go(check(taken.getsockname()[1]))


@contextlib.contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server that records bitstreams; give it and its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "cloud", "serve", "--listen", "127.0.0.1:0", "--engine", "null", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("listening on "), line + (server.stderr.read() if server.stderr else "")
        yield server, line.split()[-1]
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly_and_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async def stream(address: str, server: subprocess.Popen[str]) -> Edge:
        edge = Edge(address)
        await edge.open(hello())
        await edge.send(side(0), main(0), side(1), main(1))
        await edge.hear()
        await edge.hear()
        server.send_signal(number)
        while await edge.hear() is not None:
            pass
        assert await edge.status() is grpc.StatusCode.UNAVAILABLE
        await edge.close()
        return edge

    with process("--sink", f"images:{tmp_path}", "--json") as (server, address):
        edge = asyncio.run(asyncio.wait_for(stream(address, server), 120))
        out, err = server.communicate(timeout=120)
        assert server.returncode == 0, err
    assert {a.status for a in edge.acks.values()} == {Status.DECODED} and edge.fault is not None
    summary = json.loads(out.splitlines()[-1])
    assert (summary["sessions"], summary["received"], summary["decoded"]) == (1, 2, 2)
    assert "Traceback" not in err
    kept = Container.parse((tmp_path / "car-1" / "main" / "000001.mdic").read_bytes())
    assert kept.packet == main(1).packet


def test_a_signal_without_any_vehicle(tmp_path: Path) -> None:
    with process() as (server, _):
        server.terminate()
        out, err = server.communicate(timeout=120)
    assert server.returncode == 0 and "0 frames received" in out and "Traceback" not in err


def test_a_second_process_on_the_same_port_says_so_in_one_line() -> None:
    with process() as (_, address):
        arguments = ["serve", "--listen", address, "--engine", "null"]
        second = subprocess.run(
            [sys.executable, "-m", "cloud", *arguments], cwd=ROOT, capture_output=True, text=True
        )
    assert second.returncode == PortInUse.exit_code
    errors = [line for line in second.stderr.splitlines() if line.startswith("error:")]
    assert errors == [f"error: cannot listen on {address}: the port is in use or not ours to bind"]
    assert "Traceback" not in second.stderr


def test_two_streams_of_one_vehicle_after_each_other(tmp_path: Path) -> None:
    async def twice(address: str) -> None:
        for _ in range(2):
            edge = Edge(address)
            await edge.open(hello())
            await edge.send(side(0), main(0))
            await edge.end()
            assert edge.goodbye == Goodbye(decoded=1, side_received=1)
            await edge.close()

    with process("--sink", f"images:{tmp_path}") as (_, address):
        asyncio.run(asyncio.wait_for(twice(address), 120))
    index = (tmp_path / "car-1" / "index.jsonl").read_text().splitlines()
    assert len(index) == 2 and len({json.loads(line)["session"] for line in index}) == 2


def test_help_shows_every_option() -> None:
    from cloud.__main__ import parser

    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    text = commands.choices["serve"].format_help()
    for option in (
        "--listen",
        "--sink",
        "--bundle",
        "--device",
        "--steps",
        "--tolerance-ms",
        "--side-wait-ms",
    ):
        assert option in text
