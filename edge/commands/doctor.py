"""`mdic-edge doctor`: what this machine can do, a line each; the exit code says whether encoding works."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.bundle import Bundle
from common.errors import MdicError, MissingDependency

_OK, _FAIL, _NOTE = "ok", "FAIL", "note"


@dataclass(frozen=True)
class Finding:
    """One line: `state` is ok, note (something optional is missing) or FAIL."""

    state: str
    subject: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--bundle", metavar="NAME|PATH", help="model bundle; default the one shipped")


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 0 when nothing failed, else the code of the first failure."""
    code = 0
    checks: dict[str, Callable[[], Finding]] = {
        "onnxruntime": check_onnxruntime,
        "bundle": lambda: check_bundle(args.bundle),
        "encoding": lambda: check_encoding(args.bundle),
        "grpc": check_grpc,
        "hevc": check_hevc,
        "cameras": check_devices,
    }
    for subject, check in checks.items():
        try:
            finding = check()
        except MdicError as error:
            finding = Finding(_FAIL, subject, str(error))
            code = code or error.exit_code
        print(f"{finding.state:4}  {finding.subject:12} {finding.text}", flush=True)
    return code


def check_onnxruntime() -> Finding:
    """Name the version and the execution providers.

    Raises:
        MissingDependency: not installed.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise MissingDependency("onnxruntime", "edge") from None
    return Finding(
        _OK, "onnxruntime", f"{runtime.__version__}: {', '.join(runtime.get_available_providers())}"
    )


def check_bundle(name: str | None) -> Finding:
    """Load the bundle and verify the files the edge needs.

    Raises:
        BundleError: it cannot be used.
    """
    bundle = Bundle.load(name)
    for file in ("encoder.onnx", "entropy.safetensors"):
        bundle.file(file)
    return Finding(_OK, "bundle", f"{bundle.name} {bundle.hex} in {bundle.path}")


def check_encoding(name: str | None) -> Finding:
    """Encode a grey frame, twice: the second time is the warm one.

    Raises:
        MdicError: it does not work.
    """
    import numpy as np

    from edge.encoder import Encoder

    encoder = Encoder(Bundle.load(name))
    image = np.full((375, 1242, 3), 128, np.uint8)
    encoder.encode(image, 4)
    total = encoder.encode(image, 4).ms["total"]
    return Finding(_OK, "encoding", f"a flat frame of 1242x375 in {total:.0f} ms")


def check_grpc() -> Finding:
    """Name the versions that carry the stream.

    Raises:
        MissingDependency: not installed.
    """
    try:
        grpc = importlib.import_module("grpc")
        importlib.import_module("common.pb.ingest_pb2_grpc")
    except ImportError:
        raise MissingDependency("grpcio", "edge") from None
    return Finding(
        _OK, "grpc", f"grpcio {grpc.__version__}, protobuf {importlib.metadata.version('protobuf')}"
    )


def check_hevc() -> Finding:
    """Look for PyAV with x265, which video cameras and `--side-codec hevc` need."""
    try:
        av = importlib.import_module("av")
        av.codec.Codec("libx265", "w")
    except ImportError:
        return Finding(_NOTE, "hevc", "PyAV is not installed: no --side-codec hevc (pip install '.[edge]')")
    except Exception as error:  # PyAV raises its own ValueError family
        return Finding(_NOTE, "hevc", f"PyAV has no libx265: no --side-codec hevc ({error})")
    return Finding(_OK, "hevc", f"PyAV {av.__version__} with libx265")


def check_devices() -> Finding:
    """List the cameras of this machine."""
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not devices:
        return Finding(_NOTE, "cameras", "no /dev/video*: file and synthetic cameras only")
    return Finding(_OK, "cameras", ", ".join(devices))
