"""`mdic-cloud decode IN OUT`: `.mdic` files to PNG images.

The sampler's noise is seeded with the CRC-32C of the packet, so the picture depends on the bitstream, the
side view, the previous image and the steps alone: not on names, order, or what else is in the folder. With
`--temporal` the folder is one drive: files in the order of their names, each helped by the one before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cloud.commands.device import add_restore_option, open_decoder
from cloud.sideinfo.imageheader import image_is_lossy
from cloud.sinks.images import png_bytes, write_atomic
from cloud.temporal.stream import TemporalFusion
from cloud.text.vocabulary import Tags
from common.bitstream.checksum import crc32c
from common.bitstream.container import HEADER_BYTES, Container
from common.bitstream.limits import DEFAULT_LIMITS
from common.bundle import Bundle
from common.errors import FrameSizeError, ImageUnreadable, MdicError, Oversize, UsageError
from common.types import RgbImage, SideState

if TYPE_CHECKING:
    from cloud.decoder import Decoder

SIDE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Task:
    """Hold one file's decoding: where from, where to, and the images that help."""

    source: Path
    target: Path
    side: Path | None
    previous: Path | None


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "decode",
        help="turn .mdic files into PNG images",
        description="Decode one .mdic file, or every one in a folder, into PNG images of the same stem. "
        "Without a side view for a file it is decoded without; the report says so.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help=".mdic file or folder")
    parser.add_argument("output", type=Path, metavar="OUT", help="PNG file, or folder")
    parser.add_argument(
        "--side", type=Path, metavar="DIR|FILE", help="side view, or folder with one of the same stem"
    )
    parser.add_argument(
        "--previous",
        type=Path,
        metavar="DIR|FILE",
        help="image rebuilt before this one, or folder (same stem)",
    )
    parser.add_argument(
        "--temporal",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="IN holds consecutive frames of one drive, in the order of their names: let the frame before help "
        "(default: off, each file for itself)",
    )
    parser.add_argument(
        "--caption",
        metavar="TEXT",
        help='what the side view shows, such as "car left, tree right" (default: the bundled tagger looks)',
    )
    add_restore_option(parser)
    parser.add_argument("--steps", type=int, metavar="N", help="diffusion steps (default: the bundle's)")
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle (default: the one shipped)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Decode; a bad file in a folder is reported and the others are decoded all the same.

    Returns:
        0, or the exit code of the first file that failed.

    Raises:
        MdicError: nothing can be decoded, or the only file failed.
    """
    if options.steps is not None and options.steps < 1:
        raise UsageError(f"--steps {options.steps} is below 1")
    ignored = () if options.caption is None else Tags.from_caption(options.caption).ignored
    if ignored:
        print(f"--caption: words that mean nothing here: {', '.join(ignored)}", file=sys.stderr, flush=True)
    tasks = plan(options.input, options.output, options.side, options.previous)
    bundle = Bundle.load(options.bundle)
    decoder = _Lazy(lambda: open_decoder(bundle, options.device, options.restore))
    fusion = TemporalFusion() if options.temporal else None
    numbers = frame_numbers([task.source.stem for task in tasks])
    failed = 0
    for number, task in zip(numbers, _progress(tasks, options.json), strict=True):
        try:
            report = decode_file(task, bundle.id, decoder, options.steps, fusion, number, options.caption)
        except MdicError as error:
            if len(tasks) == 1 and not options.input.is_dir():
                raise
            print(f"error: {task.source}: {error}", file=sys.stderr, flush=True)
            failed = failed or error.exit_code
            continue
        print(json.dumps(report) if options.json else _line(report), flush=True)
    return failed


def plan(source: Path, target: Path, side: Path | None, previous: Path | None) -> list[Task]:
    """Return what is to be decoded, by name.

    Raises:
        UsageError: the paths do not fit together, or nothing is there.
    """
    if not source.exists():
        raise UsageError(f"{source} does not exist")
    for option, path in (("--side", side), ("--previous", previous)):
        if path is not None and not path.exists():
            raise UsageError(f"{option} {path} does not exist")
        if path is not None and source.is_dir() and not path.is_dir():
            raise UsageError(f"{option} {path} must be a folder, as {source} is one")
    if source.is_dir():
        if target.exists() and not target.is_dir():
            raise UsageError(f"{target} must be a folder, as {source} is one")
        sources = sorted(path for path in source.iterdir() if path.suffix == ".mdic" and path.is_file())
        if not sources:
            raise UsageError(f"no .mdic files in {source}")
        targets = [target / f"{path.stem}.png" for path in sources]
    else:
        sources = [source]
        targets = [target / f"{source.stem}.png" if target.is_dir() else target]
        if targets[0].suffix.lower() != ".png":
            raise UsageError(f"{targets[0]} must end in .png")
    return [
        Task(path, out, _matching(side, path.stem), _matching(previous, path.stem))
        for path, out in zip(sources, targets, strict=True)
    ]


def frame_numbers(stems: Sequence[str]) -> list[int]:
    """Return the number in each name (its last digits), or its place in the list if the numbers do not rise.

    A hole in the numbers is a lost frame, and the fusion must know.
    """
    found = [re.search(r"(\d+)\D*$", stem) for stem in stems]
    numbers = [int(match[1]) for match in found if match]
    rising = all(a < b for a, b in itertools.pairwise(numbers))
    return numbers if len(numbers) == len(stems) and rising else list(range(len(stems)))


def decode_file(
    task: Task,
    bundle_id: bytes,
    decoder: Callable[[], Decoder],
    steps: int | None,
    fusion: TemporalFusion | None = None,
    number: int = 0,
    caption: str | None = None,
) -> dict[str, Any]:
    """Decode one file and return its report.

    Args:
        task: what to decode.
        bundle_id: of the bundle that the decoder holds.
        decoder: gives the decoder.
        steps: denoising steps; None means the bundle's own number.
        fusion: remembers the frame before; None decodes the file for itself.
        number: of the frame, for `fusion`.
        caption: what the side view shows, in words; None asks the tagger.

    Raises:
        MdicError: the bitstream, the side view or the output cannot be used.
    """
    from cloud.decoder import DecodeRequest

    started = time.perf_counter()
    data = _read(task.source)
    container = Container.parse(data, expected_bundle=bundle_id)
    container.parse_packet()
    facts = container.session
    side, lossy = (None, False) if task.side is None else read_image(task.side, facts.height, facts.width)
    previous = None if task.previous is None else read_image(task.previous, facts.height, facts.width)[0]
    read_ms = (time.perf_counter() - started) * 1000
    frame = decoder().decode(
        DecodeRequest(
            packet=container.packet,
            height=facts.height,
            width=facts.width,
            side=side,
            previous=previous,
            stream="",
            frame=crc32c(container.packet),
            steps=steps,
            caption=caption,
            side_lossy=lossy,
        )
    )
    if fusion is not None:
        # Files carry no capture time; their numbers alone tell of gaps.
        frame = fusion.step(frame, number, 0, side)
    started = time.perf_counter()
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(task.target, png_bytes(frame.image))
    except OSError as error:
        raise UsageError(f"cannot write {task.target}: {error.strerror or error}") from error
    write_ms = (time.perf_counter() - started) * 1000
    return {
        "input": str(task.source),
        "output": str(task.target),
        "bytes": len(data),
        "packet_bytes": len(container.packet),
        "bpp": 8 * len(container.packet) / (facts.height * facts.width),
        "height": facts.height,
        "width": facts.width,
        "side": (SideState.MISSING if side is None else SideState.EXACT).value,
        "side_restored": frame.side_restored,
        "side_refused": frame.side_refused,
        "temporal": 0.0 if fusion is None else round(fusion.share, 4),
        "ms": {
            "read": round(read_ms, 3),
            **{stage: round(value, 3) for stage, value in frame.ms.items()},
            "write": round(write_ms, 3),
        },
    }


def read_image(path: Path, height: int, width: int) -> tuple[RgbImage, bool]:
    """Return the (height, width, 3) uint8 RGB image in a file, and whether a lossy codec wrote it.

    Raises:
        ImageUnreadable: it does not decode.
        FrameSizeError: it is of another size.
    """
    try:
        data = path.read_bytes()
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (OSError, cv2.error) as error:
        raise ImageUnreadable(path, str(error)) from error
    if bgr is None:
        raise ImageUnreadable(path, "it does not decode as an image")
    if bgr.shape[:2] != (height, width):
        got_height, got_width = bgr.shape[:2]
        raise FrameSizeError(
            got_height, got_width, f"{path} must be as large as the bitstream's frame, {height}x{width}"
        )
    image = np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return image, image_is_lossy(data)


class _Lazy:
    """Open the decoder when the first good file needs it, so that bad files are reported at once."""

    def __init__(self, make: Callable[[], Decoder]) -> None:
        self._make = make
        self._made: Decoder | None = None

    def __call__(self) -> Decoder:
        if self._made is None:
            self._made = self._make()
        return self._made


def _read(path: Path) -> bytes:
    limit = HEADER_BYTES + DEFAULT_LIMITS.packet_bytes
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > limit:
        raise Oversize(path.stat().st_size, limit)
    return data


def _matching(place: Path | None, stem: str) -> Path | None:
    if place is None or not place.is_dir():
        return place
    return next((found for suffix in SIDE_SUFFIXES if (found := place / f"{stem}{suffix}").is_file()), None)


def _progress(tasks: list[Task], quiet: bool) -> Iterator[Task]:
    if quiet or len(tasks) < 2 or not sys.stderr.isatty():
        return iter(tasks)
    from tqdm import tqdm

    return iter(tqdm(tasks, unit="frame", file=sys.stderr))


def _line(report: dict[str, Any]) -> str:
    side = report["side"]
    if report["side_refused"]:
        side = "refused (it shows another place)"
    elif report["side_restored"]:
        side += ", restored"
    return (
        f"{report['output']}: {report['width']}x{report['height']}, {report['packet_bytes']} bytes "
        f"({report['bpp']:.4f} bpp), side view {side}, {report['ms'].get('total', 0):.0f} ms"
    )
