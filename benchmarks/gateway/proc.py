"""What Linux says of a running process: memory, descriptors, threads, processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """Hold one look at a process.

    Attributes:
        rss_kib: resident memory.
        descriptors: open files and sockets.
        threads: running or waiting.
        cpu_s: processor time so far, user and system.
    """

    rss_kib: int
    descriptors: int
    threads: int
    cpu_s: float


def usage(pid: int) -> Usage | None:
    """Return a look at process `pid`, or None when it has ended."""
    folder = Path("/proc") / str(pid)
    try:
        pages = int((folder / "statm").read_text().split()[1])
        # The name in brackets may hold spaces: count from behind it.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        descriptors = len(os.listdir(folder / "fd"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Usage(pages * _PAGE >> 10, descriptors, int(fields[17]), cpu_s)


def need_proc() -> None:
    """Check that this system has what `usage` reads.

    Raises:
        UsageError: it is no Linux.
    """
    if not Path("/proc/self/statm").is_file():
        raise UsageError("this benchmark reads /proc, which only Linux has")
