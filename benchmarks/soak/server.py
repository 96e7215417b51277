"""`mdic-cloud` as it is, with one addition: SIGUSR1 writes the number of asyncio tasks into a file.

python -m benchmarks.soak.server FILE serve --engine null
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from types import FrameType


def watch(path: Path) -> None:
    """Answer SIGUSR1 with the number of tasks of the running event loop, or nothing while none runs."""

    def write(number: int, frame: FrameType | None) -> None:
        try:
            path.write_text(str(len(asyncio.all_tasks())))
        except RuntimeError:
            return  # the loop has not begun, or is over

    signal.signal(signal.SIGUSR1, write)


def main(argv: list[str]) -> None:
    """Run `mdic-cloud` with the arguments after the file's name."""
    from cloud.__main__ import main as cloud_main
    from common.cli import run_main

    watch(Path(argv[0]))
    run_main(cloud_main, argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
