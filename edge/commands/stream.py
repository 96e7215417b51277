"""`mdic-edge stream`: a camera's frames, encoded, to a cloud, and what became of each."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.bundle import Bundle
from common.errors import UsageError
from common.stream.convert import vehicle_problem
from common.stream.limits import LIMITS
from common.stream.messages import Mode, Role
from common.telemetry.dictionary import open_codec
from edge.credentials import Credentials
from edge.plan import StreamParts, StreamPlan
from edge.ratecontrol import HIGHEST_QUALITY, START_QUALITY
from edge.report import describe
from edge.session import StreamSession
from edge.sidecodec import parse_side_codec
from edge.spool import DEFAULT_BYTES

LEAST_SPOOL_BYTES = 65_536
_ROLES = {"both": Role.BOTH, "main": Role.MAIN, "side": Role.SIDE}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--camera", required=True, metavar="SPEC", help="kitti:DIR | synthetic[:seed] | video:FILE | v4l2:N"
    )
    parser.add_argument("--cloud", required=True, metavar="HOST:PORT", help="where mdic-cloud serve listens")
    parser.add_argument(
        "--quality", default=str(START_QUALITY), metavar="0..7|auto", help="default %(default)s"
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="F",
        help="pace, dropping what cannot keep up; 0 as fast as the cloud takes them, without drops; "
        "default the camera's own, where only a device drops",
    )
    parser.add_argument(
        "--frames", type=int, metavar="N", help="stop after N frames; default at the camera's end"
    )
    parser.add_argument(
        "--role", choices=sorted(_ROLES), default="both", help="views to send; default %(default)s"
    )
    parser.add_argument(
        "--side-codec",
        default="webp",
        metavar="C",
        help="webp (lossless) | jpeg[:q] | hevc[:crf]; default %(default)s",
    )
    parser.add_argument(
        "--vehicle", default=None, metavar="ID", help="key of the session; default this host's name"
    )
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle; default the one shipped")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="of the encoder; default chosen by it"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="longest time without an ack while one is owed; default %(default)s",
    )
    parser.add_argument(
        "--mode",
        choices=("live", "durable"),
        default="live",
        help="live: fresh frames first; durable: each waits on disk until the cloud has it; default %(default)s",
    )
    parser.add_argument(
        "--spool",
        type=Path,
        metavar="DIR",
        help="durable: where frames wait; default mdic/spool/VEHICLE below $XDG_STATE_HOME (~/.local/state)",
    )
    parser.add_argument(
        "--spool-bytes", type=int, metavar="N", help=f"durable: bound on what waits; default {DEFAULT_BYTES}"
    )
    parser.add_argument(
        "--spool-age", type=float, metavar="S", help="durable: give up frames older than this; default never"
    )
    parser.add_argument(
        "--deadline-ms",
        type=int,
        metavar="D",
        help="live: age at which a frame is useless and dropped; default none",
    )
    parser.add_argument(
        "--reconnect",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="live: come back after a cut, within --timeout; default where frames do not wait (device, --fps)",
    )
    parser.add_argument("--token", type=Path, metavar="FILE", help="file with this vehicle's token")
    parser.add_argument(
        "--tls-ca", type=Path, metavar="FILE", help="CA of the cloud's certificate; turns TLS on"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="this vehicle's certificate, for mutual TLS"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key of --tls-cert")
    parser.add_argument(
        "--plaintext-token",
        action="store_true",
        help="send the token although the connection is not encrypted (on loopback it always may)",
    )
    parser.add_argument(
        "--no-telemetry",
        action="store_true",
        help="leave out the rig's records (OXTS, calibration) that the camera has beside its pictures",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Stream, print the summary, then raise what went wrong: what was sent is kept and told."""
    plan = make_plan(args)
    session = StreamSession(plan, open_parts(plan))
    with _stop_on_signals(session.stop):
        error = session.run()
    for line in session.warnings:
        print(f"warning: {line}", file=sys.stderr)
    if session.began:
        print(
            json.dumps(session.summary(error)) if args.json else describe(session.summary(error)), flush=True
        )
    if error is not None:
        raise error
    return 0


def make_plan(args: argparse.Namespace) -> StreamPlan:
    """Check the arguments.

    Raises:
        UsageError: one makes no sense.
        CredentialsError: a certificate, key or token cannot be used.
    """
    host, _, port = args.cloud.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--cloud {args.cloud!r} is not HOST:PORT")
    vehicle = args.vehicle if args.vehicle is not None else default_vehicle(socket.gethostname())
    problem = vehicle_problem(vehicle)
    if problem:
        raise UsageError(problem)
    for name, value, least in (
        ("--fps", args.fps, 0),
        ("--frames", args.frames, 1),
        ("--threads", args.threads, 0),
        ("--spool-bytes", args.spool_bytes, LEAST_SPOOL_BYTES),
        ("--spool-age", args.spool_age, 1),
        ("--deadline-ms", args.deadline_ms, 1),
    ):
        if value is not None and not least <= value < float("inf"):
            raise UsageError(f"{name} {value} is below {least} or not finite")
    if not 0 < args.timeout < float("inf"):
        raise UsageError(f"--timeout {args.timeout} is not above 0")
    credentials = Credentials(
        args.token, args.tls_ca, args.tls_cert, args.tls_key, plaintext_token=args.plaintext_token
    )
    credentials.check(args.cloud)
    mode, role = Mode[args.mode.upper()], _ROLES[args.role]
    _check_mode(args, mode, role)
    return StreamPlan(
        camera=args.camera,
        cloud=args.cloud,
        vehicle=vehicle,
        role=role,
        quality=None if args.quality == "auto" else parse_quality(args.quality),
        fps=args.fps,
        frames=args.frames,
        side_codec=parse_side_codec(args.side_codec),
        bundle=args.bundle,
        threads=args.threads,
        timeout_s=args.timeout,
        credentials=credentials,
        mode=mode,
        spool=(args.spool or default_spool(vehicle)) if mode is Mode.DURABLE else None,
        spool_bytes=args.spool_bytes or DEFAULT_BYTES,
        spool_age_s=args.spool_age,
        deadline_ms=args.deadline_ms or 0,
        reconnect=args.reconnect,
        telemetry=not args.no_telemetry,
    )


def _check_mode(args: argparse.Namespace, mode: Mode, role: Role) -> None:
    """Check what belongs to one of the modes only.

    Raises:
        UsageError: it was given with the other.
    """
    durable_only = {"--spool": args.spool, "--spool-bytes": args.spool_bytes, "--spool-age": args.spool_age}
    live_only = {"--deadline-ms": args.deadline_ms, "--reconnect": args.reconnect}
    for name, value in (durable_only if mode is Mode.LIVE else live_only).items():
        if value is not None:
            other = "durable" if mode is Mode.LIVE else "live"
            raise UsageError(f"{name} is for --mode {other} only")
    if mode is Mode.DURABLE and not role.has_main:
        raise UsageError("--role side cannot be durable: side views are not acknowledged one by one")
    if (args.deadline_ms or 0) > LIMITS.max_deadline_ms:
        raise UsageError(f"--deadline-ms {args.deadline_ms} is above {LIMITS.max_deadline_ms}")


def parse_quality(text: str) -> int:
    """Read a quality index.

    Raises:
        UsageError: not 0 to 7.
    """
    if len(text) == 1 and text.isascii() and text.isdigit() and int(text) <= HIGHEST_QUALITY:
        return int(text)
    raise UsageError(f"--quality {text!r} is not 0 to {HIGHEST_QUALITY}")


def default_vehicle(hostname: str) -> str:
    """Return a valid vehicle name made of the host's."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", hostname.partition(".")[0])[:64] or "vehicle"


def default_spool(vehicle: str) -> Path:
    """Return where a vehicle's frames wait unless told otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mdic" / "spool" / vehicle


def open_parts(plan: StreamPlan) -> StreamParts:
    """Open the camera and, for the main view, the bundle and its encoder.

    Raises:
        MdicError: one of them cannot be opened.
    """
    from edge.camera import open_camera

    if not plan.role.has_main:
        return StreamParts(open_camera(plan.camera, plan.pace_fps, plan.frames), None)
    from edge.encoder import Encoder

    bundle = Bundle.load(plan.bundle)
    encoder = Encoder(bundle, threads=plan.threads)
    camera = open_camera(plan.camera, plan.pace_fps, plan.frames)
    return StreamParts(camera, encoder, bundle.id, open_codec(bundle))


@contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM; a second one interrupts."""

    def handle(number: int, frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    kept = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
