"""`mdic-edge stream`: a camera's frames, encoded, to a cloud, and what became of each."""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.bundle import Bundle
from common.errors import UsageError
from common.stream.convert import vehicle_problem
from common.stream.messages import Role
from edge.ratecontrol import HIGHEST_QUALITY, START_QUALITY
from edge.report import describe
from edge.session import StreamParts, StreamPlan, StreamSession
from edge.sidecodec import parse_side_codec

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
        help="longest silence of the cloud; default %(default)s",
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
    if session.facts.session is not None:
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
    ):
        if value is not None and not least <= value < float("inf"):
            raise UsageError(f"{name} {value} is below {least} or not finite")
    if not 0 < args.timeout < float("inf"):
        raise UsageError(f"--timeout {args.timeout} is not above 0")
    return StreamPlan(
        camera=args.camera,
        cloud=args.cloud,
        vehicle=vehicle,
        role=_ROLES[args.role],
        quality=None if args.quality == "auto" else parse_quality(args.quality),
        fps=args.fps,
        frames=args.frames,
        side_codec=parse_side_codec(args.side_codec),
        bundle=args.bundle,
        threads=args.threads,
        timeout_s=args.timeout,
    )


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
    return StreamParts(open_camera(plan.camera, plan.pace_fps, plan.frames), encoder, bundle.id)


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
