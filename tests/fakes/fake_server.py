"""`mdic-cloud serve` as a process of its own, without a decoder, its log in a file."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LOGS: dict[int, Path] = {}


@contextlib.contextmanager
def server_process(*options: str) -> Iterator[tuple[Any, str]]:
    """Start a server on a free port of localhost; give the process and its address."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as errors:
            server = subprocess.Popen(
                [sys.executable, "-m", "cloud", "serve", "--listen=localhost:0", "--engine=null", *options],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        _LOGS[server.pid] = log
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("listening on "), line + log.read_text()
            yield server, line.split()[-1]
        finally:
            server.kill()
            server.communicate()


def logged(server: Any) -> str:
    """Return what the process has written to standard error."""
    return _LOGS[server.pid].read_text()
