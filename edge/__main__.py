"""`mdic-edge`: encode images, stream a camera to a cloud, look at what this machine can do."""

from __future__ import annotations

import argparse

from common.cli import run_main
from edge.commands import doctor, encode, spool, stream

_COMMANDS = (
    ("encode", encode, "encode images into .mdic files"),
    ("stream", stream, "stream a stereo camera to a cloud"),
    ("spool", spool, "look into the frames that wait for a cloud"),
    ("doctor", doctor, "check what this machine can do"),
)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code.

    Raises:
        MdicError: see `common/errors.py` for the exit code of each.
    """
    parser = argparse.ArgumentParser(
        prog="mdic-edge", description=__doc__, epilog="--debug shows tracebacks; exit codes: common/errors.py"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module, purpose in _COMMANDS:
        sub = commands.add_parser(name, help=purpose, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def entry() -> None:
    """Run as a program (console script)."""
    run_main(main)


if __name__ == "__main__":
    entry()
