"""`mdic-cloud serve`: receive vehicles' streams, decode them, keep what comes out."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.commands.device import add_restore_option, open_decoder
from cloud.engine.base import Engine
from cloud.engine.null import NullEngine
from cloud.pairing import PairingLimits
from cloud.security.files import TlsFiles
from cloud.sinks.base import Sink, open_sink
from cloud.sinks.writer import SinkWriter
from cloud.totals import Totals
from common.address import is_loopback
from common.bundle import Bundle
from common.errors import MissingDependency, UsageError
from common.telemetry import TelemetryCodec
from common.telemetry.dictionary import SHIPPED, open_codec

LOG = logging.getLogger(__name__)

DEFAULT_LISTEN = "127.0.0.1:50551"
SIDE_THREADS = 2


@dataclass(frozen=True)
class ServeOptions:
    """Hold what a server needs besides its engine and sinks."""

    host: str
    port: int
    pairing: PairingLimits
    bundle_id: bytes | None = None
    steps: int | None = None
    grace_s: float = 30.0
    temporal: bool = True
    tls: TlsFiles | None = None
    tokens: Path | None = None


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="receive streams and decode them",
        description="Listen for vehicles, pair their views, decode the main one, keep the result. "
        "The first line on standard output is 'listening on HOST:PORT'. SIGTERM or SIGINT ends it: what was "
        "received is decoded within the grace or answered as dropped, and a summary is printed.",
    )
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help="port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="images:DIR|video:FILE",
        help="where frames go; may be given more than once",
    )
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle (default: the one shipped)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--engine",
        choices=("local", "null"),
        default="local",
        help="null decodes nothing: images sinks then keep the bitstreams as .mdic files",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="diffusion steps (default: the bundle's)")
    parser.add_argument(
        "--batch", type=int, metavar="N", help="frames decoded together (default: 4, on a GPU 16)"
    )
    parser.add_argument(
        "--temporal",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let the frame before help: steadier geometry, fewer painted places (default: on)",
    )
    add_restore_option(parser)
    parser.add_argument(
        "--tolerance-ms", type=float, default=50.0, metavar="MS", help="largest distance of a pair"
    )
    parser.add_argument(
        "--side-wait-ms", type=float, default=500.0, metavar="MS", help="longest wait for a side view"
    )
    parser.add_argument(
        "--grace", type=float, default=30.0, metavar="S", help="time to decode the rest when stopped"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="certificate of this server; turns TLS on"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key of --tls-cert")
    parser.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="mutual TLS: callers need a certificate of this CA that names their vehicle",
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="ask for a token on every call; keys, revoked tokens and quotas; read again when it changes",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes.

    Raises:
        UsageError: an option makes no sense.
        PortInUse: the address is taken.
        BundleError: the bundle cannot be used.
        CredentialsError: a certificate, key or tokens file cannot be used.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # gRPC's own notes, one for each failed handshake of anybody: for whoever asks for them. Read when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    host, port = parse_address(options.listen)
    for name in ("tolerance_ms", "side_wait_ms", "grace"):
        if not 0 <= getattr(options, name) <= 3_600_000:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(options, name)} is out of range")
    for name in ("steps", "batch"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError(f"--{name} {getattr(options, name)} is below 1")
    bundle = None
    if options.engine == "local" or options.bundle is not None:
        bundle = Bundle.load(options.bundle)
    serve_options = ServeOptions(
        host=host,
        port=port,
        pairing=PairingLimits(
            tolerance_ns=round(options.tolerance_ms * 1e6), wait_ns=round(options.side_wait_ms * 1e6)
        ),
        bundle_id=None if bundle is None else bundle.id,
        steps=options.steps,
        grace_s=options.grace,
        temporal=options.temporal,
        tls=TlsFiles.of_options(options.tls_cert, options.tls_key, options.tls_client_ca),
        tokens=options.tokens,
    )
    # A gateway that serves any bundle knows at least the dictionary that bundles come with.
    codec = TelemetryCodec(SHIPPED.read_bytes()) if bundle is None else open_codec(bundle)
    sinks = [open_sink(spec, codec) for spec in options.sink]
    totals = asyncio.run(
        serve(serve_options, lambda: _engine(options, bundle), sinks, announce=lambda a: print(a, flush=True))
    )
    if options.json:
        print(json.dumps(totals.as_dict()), flush=True)
    else:
        print("\n".join(totals.lines()), flush=True)
    return 0


async def serve(
    options: ServeOptions,
    make_engine: Callable[[], Engine],
    sinks: list[Sink],
    announce: Callable[[str], None],
    stop: asyncio.Event | None = None,
) -> Totals:
    """Serve until `stop` is set or a signal comes; return what was done.

    Args:
        options: where to listen and how to pair.
        make_engine: opens the engine; called in a thread, after the address was taken.
        sinks: where frames go; closed at the end.
        announce: called with `listening on HOST:PORT`.
        stop: ends the server; None makes one that signals set.

    Raises:
        PortInUse: the address is taken.
        MdicError: what `make_engine` raises.
    """
    try:
        from cloud.mainview import Rooms
        from cloud.registry import Registry
        from cloud.scheduler import Scheduler
        from cloud.security.opening import open_security
        from cloud.server import StreamServer
        from cloud.temporal.stage import TemporalStage
    except ModuleNotFoundError as error:
        packages = {"grpc": "grpcio", "jwt": "pyjwt", "cryptography": "cryptography"}
        if error.name in packages:
            raise MissingDependency(packages[error.name], "cloud") from error
        raise
    stop = stop or _stop_on_signals()
    totals = Totals()
    writer = SinkWriter(sinks)
    side_threads = ThreadPoolExecutor(SIDE_THREADS, thread_name_prefix="side")
    temporal = TemporalStage() if options.temporal else None
    engine: Engine | None = None
    work: asyncio.Task[None] | None = None
    try:
        guard, credentials = open_security(options.tls, options.tokens)
        if guard is not None and credentials is None and not is_loopback(options.host):
            LOG.warning("tokens without TLS: whoever can listen on the way can take them; see --tls-cert")
        server = StreamServer(guard=guard)
        # Before the engine, which takes seconds to open.
        port = server.bind(options.host, options.port, credentials)
        engine = await asyncio.to_thread(make_engine)
        scheduler = Scheduler(engine, gate=writer.room, temporal=temporal)
        rooms = Rooms(scheduler, writer, side_threads, totals, options.pairing, options.steps)
        work = asyncio.ensure_future(scheduler.run())
        await server.start(Registry(rooms, options.bundle_id))
        announce(f"listening on {address_of(options.host, port)}")
        await stop.wait()
        LOG.info("stopping: decoding what was received, for at most %g s", options.grace_s)
        await server.stop(options.grace_s)
    finally:
        if work is not None:
            work.cancel()
        if engine is not None:
            await engine.close()
        if temporal is not None:
            await temporal.close()
        await writer.close()
        side_threads.shutdown(wait=False)
    return totals


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[V6]:PORT`.

    Raises:
        UsageError: it is no such thing.
    """
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {text!r} is not HOST:PORT")
    return bare, int(port)


def address_of(host: str, port: int) -> str:
    """Return `HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _engine(options: argparse.Namespace, bundle: Bundle | None) -> Engine:
    """Open what `--engine` names."""
    if options.engine == "null" or bundle is None:
        return NullEngine()
    from cloud.engine.local import CPU_BATCH, GPU_BATCH, LocalEngine

    decoder = open_decoder(bundle, options.device, options.restore)
    default = CPU_BATCH if decoder.device.type == "cpu" else GPU_BATCH
    LOG.info("decoding with bundle %s %s on %s", bundle.name, bundle.hex, decoder.device)
    return LocalEngine(decoder, options.batch or default)


def _stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets; a second one ends the process in the usual way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)
    return stop
