"""`python -m benchmarks rd|encode|demo`: every number the README quotes comes from here."""

from __future__ import annotations

import sys

from common.cli import run_main
from common.errors import UsageError

_USAGE = """usage: python -m benchmarks COMMAND [options]

  rd       rate-distortion: our codec, the zero-bit controls and the conventional codecs on the same images
  encode   warm encode timings, stage by stage
  demo     two processes, synthetic stereo, a table, a picture and a video

`python -m benchmarks COMMAND --help` lists a command's options."""


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark; the parts a command needs are imported only when it is asked for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        raise UsageError("no command given (rd, encode or demo; --help lists them)")
    command, rest = arguments[0], arguments[1:]
    if command in ("-h", "--help"):
        print(_USAGE)
        return 0
    if command == "rd":
        from benchmarks.rd.run import main as run
    elif command == "encode":
        from benchmarks.encode import main as run
    elif command == "demo":
        from benchmarks.demo.run import main as run
    else:
        raise UsageError(f"unknown command {command!r} (rd, encode or demo)")
    return run(rest)


if __name__ == "__main__":
    run_main(main)
