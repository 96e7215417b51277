"""`mdic-edge encode`: images to `.mdic` files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from common.bitstream.container import Container
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.errors import DatasetError, ImageUnreadable, MdicError, UsageError
from common.types import RgbImage
from edge.commands.stream import parse_quality
from edge.images import list_images, read_image
from edge.pipeline import EncodedMain
from edge.ratecontrol import START_QUALITY

SUFFIX = ".mdic"


class FileEncoder(Protocol):
    """What the command needs of `edge.encoder.Encoder`."""

    def encode(self, image: RgbImage, quality: int) -> EncodedMain:
        """Encode (H, W, 3) uint8 RGB."""

    def session(self, height: int, width: int) -> SessionFacts:
        """Return the facts the packet is bound to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="IN", type=Path, help="an image, or a folder of images")
    parser.add_argument("output", metavar="OUT", help="an .mdic file, or a folder for them (same stems)")
    parser.add_argument("--quality", default=str(START_QUALITY), metavar="0..7", help="default %(default)s")
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle; default the one shipped")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="of the encoder; default chosen by it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per file")


def run(args: argparse.Namespace) -> int:
    """Encode; a bad file in a folder does not keep the others from being done.

    Returns:
        0, or the exit code of the first bad file of a folder.

    Raises:
        MdicError: nothing could be done at all, or the one file given is bad.
    """
    if args.threads < 0:
        raise UsageError(f"--threads {args.threads} is below 0")
    quality = parse_quality(args.quality)
    jobs = plan_files(args.input, args.output)
    encoder = open_encoder(args.bundle, args.threads)
    if not args.input.is_dir():
        _print(encode_file(encoder, *jobs[0], quality), args.json)
        return 0
    results, errors = [], []
    for source, target in _with_progress(jobs):
        try:
            results.append(encode_file(encoder, source, target, quality))
        except MdicError as error:
            errors.append(error)
            tqdm.write(f"error: {_naming(error, source)}", file=sys.stderr)
            continue
        _print(results[-1], args.json)
    if not args.json:
        total, pixels = (
            sum(r["packet_bytes"] for r in results),
            sum(r["packet_bytes"] * 8 / r["bpp"] for r in results),
        )
        rate = f", {total * 8 / pixels:.4f} bpp" if results else ""
        print(f"{len(results)} of {len(jobs)} images encoded, {total} packet bytes{rate}", flush=True)
    return errors[0].exit_code if errors else 0


def open_encoder(bundle: str | None, threads: int) -> FileEncoder:
    """Load the bundle and its encoder.

    Raises:
        BundleError: it cannot be used.
    """
    from edge.encoder import Encoder

    return Encoder(Bundle.load(bundle), threads=threads)


def plan_files(source: Path, out: str) -> list[tuple[Path, Path]]:
    """Return which file becomes which; `out` is text, since a slash at its end means a folder.

    Raises:
        ImageUnreadable: IN is not there.
        DatasetError: IN is a folder without images.
        UsageError: OUT does not fit IN, or two images have the same stem.
    """
    target = Path(out)
    if not source.exists():
        raise ImageUnreadable(source, "no such file or folder")
    if not source.is_dir():
        into_folder = target.is_dir() or out.endswith(os.sep)
        return [(source, target / f"{source.stem}{SUFFIX}" if into_folder else target)]
    if target.exists() and not target.is_dir():
        raise UsageError(f"{source} is a folder, so {target} has to be one, and it is a file")
    images = list_images(source)
    if not images:
        raise DatasetError(source, "no images in this folder")
    jobs: dict[Path, Path] = {}
    for image in images:
        output = target / f"{image.stem}{SUFFIX}"
        if output in jobs:
            raise UsageError(f"{jobs[output].name} and {image.name} would both become {output}")
        jobs[output] = image
    return [(image, output) for output, image in jobs.items()]


def encode_file(encoder: FileEncoder, source: Path, target: Path, quality: int) -> dict[str, Any]:
    """Encode one image into one file and return what `--json` prints.

    Raises:
        InputError: the image cannot be read or coded.
        UsageError: the file cannot be written.
    """
    image = read_image(source)
    height, width = image.shape[:2]
    encoded = encoder.encode(image, quality)
    data = Container(encoder.session(height, width), encoded.packet).serialize()
    write_atomically(target, data)
    return {
        "input": str(source),
        "output": str(target),
        "bytes": len(data),
        "packet_bytes": len(encoded.packet),
        "bpp": len(encoded.packet) * 8 / (height * width),
        "ms": {stage: round(value, 3) for stage, value in encoded.ms.items()},
    }


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name never shows half of it.

    Raises:
        UsageError: the place cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # temporary files are private; this one is a plain output
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def _naming(error: MdicError, source: Path) -> str:
    """Return the error's line, with the file's name where the error does not know it."""
    return str(error) if source.name in str(error) else f"{source}: {error}"


def _with_progress(jobs: list[tuple[Path, Path]]) -> Iterable[tuple[Path, Path]]:
    bar: Iterable[tuple[Path, Path]] = tqdm(
        jobs, unit="image", file=sys.stderr, disable=not sys.stderr.isatty()
    )
    return bar


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        line = json.dumps(result)
    else:
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in result["ms"].items())
        line = (
            f"{result['input']} -> {result['output']}: {result['packet_bytes']} bytes, "
            f"{result['bpp']:.4f} bpp ({stages} ms)"
        )
    # Through tqdm, so that a progress bar on the same terminal is not torn.
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()
