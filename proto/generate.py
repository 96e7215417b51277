#!/usr/bin/env python3
"""Generate `common/pb` from `proto/*.proto`, or check that what is committed is what they give.

The generator is pinned old on purpose: generated code may meet a newer runtime, never an older one, so an old
generator lets one set of files run on every protobuf >= 5.26 (tried up to 7.36) and every grpcio >= 1.63.2.
It asks for protobuf < 6 itself, so it lives in a venv of its own (README.md in this folder).

    python proto/generate.py            write common/pb
    python proto/generate.py --check    exit 1 when common/pb is not what proto/ gives
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = {"grpcio-tools": "1.63.2", "mypy-protobuf": "3.6.0"}
PROTO = Path(__file__).resolve().parent
OUT = PROTO.parent / "common" / "pb"
STAMP = "SOURCES.sha256"
INIT = '"""Generated from proto/*.proto by proto/generate.py: do not edit."""\n'


def main(argv: list[str] | None = None) -> int:
    """Run the generator or the check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="compare only; without the pinned tools, by the stamp"
    )
    args = parser.parse_args(argv)
    missing = missing_tools()
    if missing and not args.check:
        print(f"error: needs {', '.join(missing)} in this interpreter; see proto/README.md", file=sys.stderr)
        return 2
    if missing:
        return check_stamp()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = generate(Path(scratch))
    return compare(fresh) if args.check else write(fresh)


def missing_tools() -> list[str]:
    """List the pinned tools that this interpreter does not have in exactly that version."""
    lacking = []
    for name, want in TOOLS.items():
        try:
            got = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            got = None
        if got != want:
            lacking.append(f"{name}=={want}")
    return lacking


def generate(scratch: Path) -> dict[str, str]:
    """Run protoc into `scratch`; return file name -> text for everything that belongs in common/pb."""
    names = sorted(path.name for path in PROTO.glob("*.proto"))
    # The virtual path makes protoc believe the files live in common/pb: imports come out right, no sed.
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-Icommon/pb={PROTO}"]
    command += [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"  # protoc looks for protoc-gen-mypy_grpc on PATH
    subprocess.run([*command, *(f"common/pb/{name}" for name in names)], check=True, env={"PATH": path})
    files = {file.name: file.read_text() for file in sorted((scratch / "common" / "pb").iterdir())}
    # A proto without a service needs no stub module.
    services = {name for name in names if "\nservice " in (PROTO / name).read_text()}
    for name in set(names) - services:
        for suffix in (".py", ".pyi"):
            files.pop(name.replace(".proto", "_pb2_grpc") + suffix, None)
    return {**files, "__init__.py": INIT, STAMP: stamp(files)}


def stamp(files: dict[str, str]) -> str:
    """Return lines `sha256  name` over the sources and what they gave, as `sha256sum` writes them."""
    lines = [f"{_sha(path.read_text())}  proto/{path.name}" for path in sorted(PROTO.glob("*.proto"))]
    lines += [f"{_sha(text)}  common/pb/{name}" for name, text in sorted(files.items())]
    return "\n".join(lines) + "\n"


def write(fresh: dict[str, str]) -> int:
    """Replace the contents of common/pb."""
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        if old.is_file() and old.name not in fresh:
            old.unlink()
    for name, text in fresh.items():
        (OUT / name).write_text(text)
    print(f"wrote {len(fresh)} files to {OUT}")
    return 0


def compare(fresh: dict[str, str]) -> int:
    """Compare fresh output with what is committed."""
    there = {path.name: path.read_text() for path in OUT.iterdir() if path.is_file()}
    wrong = sorted(name for name in fresh.keys() | there.keys() if fresh.get(name) != there.get(name))
    return _verdict(wrong)


def check_stamp() -> int:
    """Compare hashes with the committed stamp: finds every edit, needs no tools."""
    files = {p.name: p.read_text() for p in OUT.iterdir() if p.is_file() and p.suffix in {".py", ".pyi"}}
    files.pop("__init__.py", None)
    want, got = (OUT / STAMP).read_text().splitlines(), stamp(files).splitlines()
    return _verdict(sorted({line.split("  ", 1)[1] for line in set(want) ^ set(got)}))


def _verdict(wrong: list[str]) -> int:
    if wrong:
        print(
            f"error: common/pb is not what proto/ gives: {', '.join(wrong)} (run `make proto`)",
            file=sys.stderr,
        )
        return 1
    print("common/pb is what proto/ gives")
    return 0


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
