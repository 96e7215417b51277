"""The demo's two real processes: a cloud that serves and an edge that streams, with their logs kept."""

from __future__ import annotations

import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from common.errors import StreamError

ADDRESS = re.compile(r"\b127\.0\.0\.1:(\d{2,5})\b")
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
LOG_LINES_SHOWN = 5


class Cloud:
    """Run `mdic-cloud serve` on a free port for as long as the `with` block lasts.

    Its output goes to `log`; SIGTERM at the end lets it decode what it holds and close its sinks.
    """

    def __init__(
        self, arguments: Sequence[str], root: Path, log: Path, program: Sequence[str] = ("-m", "cloud")
    ) -> None:
        command = [sys.executable, *program, "serve", "--listen", "127.0.0.1:0", *arguments]
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.exit_code: int | None = None

    def __enter__(self) -> Cloud:
        """Return self; the process runs since the constructor."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process on every way out of the block."""
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def address(self) -> str:
        """Return HOST:PORT as soon as the cloud says where it listens.

        Raises:
            StreamError: it ended, or said nothing for `START_TIMEOUT_S`.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise StreamError(f"the cloud ended before it listened: {last_lines(self._log)}")
            found = ADDRESS.search(line)
            if found and found[1] != "0":
                return found[0]
        raise StreamError(f"the cloud did not listen within {START_TIMEOUT_S:.0f} s: {last_lines(self._log)}")

    def stop(self) -> int:
        """Ask the cloud to finish (SIGTERM), wait, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self.exit_code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_code = self._process.wait()
        self._reader.join(timeout=5)
        return self.exit_code

    def _read(self, output: IO[str]) -> None:
        """Copy the output to the log and to whoever waits for the address; None marks its end."""
        with self._log.open("w", encoding="utf-8") as log:
            for line in output:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)


def stream(arguments: Sequence[str], root: Path, log: Path, timeout_s: float) -> list[dict[str, Any]]:
    """Run `mdic-edge stream --json` to its end and return the objects it printed, one a line.

    Its progress goes to our terminal where there is one, else to `log`.

    Raises:
        StreamError: it failed or did not end in time.
    """
    command = [sys.executable, "-m", "edge", "stream", "--json", *arguments]
    with log.open("w", encoding="utf-8") as log_file:
        errors = None if sys.stderr.isatty() else log_file
        try:
            done = subprocess.run(
                command,
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StreamError(
                f"the edge did not finish within {timeout_s:.0f} s: {last_lines(log)}"
            ) from None
    if done.returncode != 0:
        raise StreamError(f"the edge ended with exit code {done.returncode}: {last_lines(log)}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> str:
    """Return the end of a log as one line, for an error message."""
    try:
        lines = log.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return " | ".join(line.strip() for line in lines[-count:] if line.strip()) or "(it printed nothing)"
