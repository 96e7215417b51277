"""The `mdic-cloud` command: serve, decode, bundle, certs and token, and all that makes bundles."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from cloud.commands import bundle, certs, decode, serve, token
from common.cli import run_main

_WITH_TORCH = ("train", "refine", "illuminate", "contexts", "quantise", "export")
"""These have parsers of their own and import torch, which would make every --help slow."""
_EPILOG = """\
also:
  mdic-cloud train ...       train a model (its own options: mdic-cloud train --help)
  mdic-cloud refine ...      fit a refinement to a bundle (mdic-cloud refine --help)
  mdic-cloud illuminate ...  fit an illumination to a bundle (mdic-cloud illuminate --help)
  mdic-cloud contexts ...    fit context tables to a bundle (mdic-cloud contexts --help)
  mdic-cloud quantise ...    store a bundle's decoder in half the room (mdic-cloud quantise --help)
  mdic-cloud export ...      make a bundle of a trained model (mdic-cloud export --help)

exit codes: 0 all done; 2 usage; 1x images; 2x bitstreams; 3x bundles; 4x network (42 port in use);
50 something is not installed; 70 a defect of ours; 130 interrupted. All of them: common/errors.py.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of everything else."""
    top = argparse.ArgumentParser(
        prog="mdic-cloud",
        description="The cloud side of MDIC-Stream: receive, decode and keep main views.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (serve, decode, bundle, certs, token):
        module.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Raises:
        MdicError: whatever the command reports.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _WITH_TORCH:
        command = importlib.import_module(f"cloud.commands.{arguments[0]}")
        return int(command.run(arguments[1:]))
    options = parser().parse_args(arguments)
    return int(options.run(options))


def entry() -> NoReturn:
    """Run as a console script."""
    run_main(main)


if __name__ == "__main__":
    entry()
