"""`python -m benchmarks COMMAND`: every number the project quotes comes from here."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from common.cli import run_main
from common.errors import UsageError

COMMANDS = {
    "rd": ("benchmarks.rd.run", "rate-distortion: our codec, the zero-bit controls, the conventional codecs"),
    "geometry": (
        "benchmarks.rd.geometry",
        "the decoded disparity against the oracle's, and what its warp shows",
    ),
    "encode": ("benchmarks.encode", "warm encode timings, stage by stage"),
    "demo": ("benchmarks.demo.run", "two processes, synthetic stereo, a table, a picture and a video"),
    "sequence": (
        "benchmarks.sequence.run",
        "both cameras of a drive at equal total bytes; stability over time",
    ),
    "temporal": ("benchmarks.temporal", "a drive with the frame before as side information, and without"),
    "robust": ("benchmarks.robust.run", "wrong, stale, lossy and absent side views"),
    "grain": ("benchmarks.grain", "what repeats with a grid in rebuilt pictures: LPIPS takes it for texture"),
    "gpu-decode": (
        "benchmarks.gpu_decode",
        "decoding times, beside a latent diffusion model of the usual size",
    ),
    "downstream": ("benchmarks.downstream.run", "what perception still makes of a rebuilt frame"),
    "ablation": ("benchmarks.ablation.run", "what each part of the codec is worth"),
    "fuzz": ("benchmarks.fuzz", "hostile bytes for every parser (`make fuzz`)"),
    "soak": ("benchmarks.soak.run", "a long stream through a real server: does anything grow?"),
    "gateway": ("benchmarks.gateway.run", "live vehicles on one server: how many, how late are their acks?"),
    "telemetry": (
        "benchmarks.telemetry",
        "bytes that compression saves of OXTS records; trains the dictionary",
    ),
    "link": ("benchmarks.link.run", "the stream and its rate control over emulated links (root, Linux)"),
    "all": ("benchmarks.bench", "every benchmark with its default sampling, resumable (`make bench`)"),
    "bars": ("benchmarks.bars", "the project's targets against the results in benchmarks/results"),
    "tables": ("benchmarks.tables", "write the tables and plots of the documents from the results"),
}
"""Command -> (module with a `main(argv)`, what it does); a module that this checkout lacks is not listed."""


def main(argv: list[str] | None = None) -> int:
    """Run one benchmark; the parts a command needs are imported only when it is asked for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = [name for name, (module, _) in COMMANDS.items() if is_there(module)]
    if not arguments:
        raise UsageError(f"no command given ({', '.join(known)}; --help lists them)")
    command, rest = arguments[0], arguments[1:]
    if command in ("-h", "--help"):
        print(usage(known))
        return 0
    if command not in known:
        raise UsageError(f"unknown command {command!r} ({', '.join(known)})")
    return int(importlib.import_module(COMMANDS[command][0]).main(rest))


def usage(commands: list[str]) -> str:
    """Return the help text."""
    lines = [f"  {name:<11} {COMMANDS[name][1]}" for name in commands]
    end = "`python -m benchmarks COMMAND --help` lists a command's options."
    return "\n".join(["usage: python -m benchmarks COMMAND [options]", "", *lines, "", end])


def is_there(module: str) -> bool:
    """Tell whether a module can be imported from this checkout, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there either
        return False


if __name__ == "__main__":
    run_main(main)
