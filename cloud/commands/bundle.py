"""`mdic-cloud bundle`: say what a bundle holds and whether its files are whole."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cloud.dictionary import add_dictionary
from common.bundle import Bundle
from common.telemetry.dictionary import SHIPPED


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bundle", help="verify a model bundle and list its files"
    )
    parser.add_argument(
        "bundle", nargs="?", metavar="NAME|PATH", help="the bundle (default: the one shipped)"
    )
    parser.add_argument(
        "--add-dictionary",
        nargs="?",
        const="",
        metavar="FILE",
        help="put a telemetry dictionary into the bundle first (default: the one shipped); its id changes",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify every file.

    Raises:
        BundleError: it is not there, or a file is not what the manifest says.
        UsageError: a dictionary is to be added and cannot be.
    """
    bundle = Bundle.load(options.bundle)
    if options.add_dictionary is not None:
        bundle = add_dictionary(
            bundle.path, Path(options.add_dictionary) if options.add_dictionary else SHIPPED
        )
    files = {name: bundle.file(name).stat().st_size for name in sorted(bundle.manifest["files"])}
    if options.json:
        print(json.dumps({"name": bundle.name, "id": bundle.hex, "path": str(bundle.path), "files": files}))
        return 0
    print(f"{bundle.name} {bundle.hex} {bundle.path}")
    for name, size in files.items():
        print(f"  {name:<24} {size:>12,} bytes, verified")
    return 0
