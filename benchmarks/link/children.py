"""The processes of a link run: started, talked to over pipes, and ended in every case."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from common.errors import StreamError

ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 15.0


class Child:
    """One process whose output lines we read and whose log we keep."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        descriptors: Sequence[int] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        """Start `python -m` with `command`, after the words of `prefix`.

        Args:
            name: for error messages.
            command: module and arguments.
            log: file for its standard error.
            descriptors: to inherit.
            prefix: words before the interpreter, as `ip netns exec NAME`.
        """
        self.name, self._log = name, log
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                pass_fds=tuple(descriptors),
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, name=f"read-{name}", daemon=True).start()

    def __enter__(self) -> Child:
        """Return self; the process runs since the constructor."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process if it still runs."""
        self.stop()

    def line(self, beginning: str, timeout_s: float) -> str:
        """Return the next line that begins so.

        Raises:
            StreamError: the process ended, or said no such thing in time.
        """
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise StreamError(f"{self.name} ended early: {self._last_words()}")
            if line.startswith(beginning):
                return line.strip()
        raise StreamError(f"{self.name} said no {beginning!r} within {timeout_s:.0f} s: {self._last_words()}")

    def tell(self, text: str) -> None:
        """Write one line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def report(self, timeout_s: float) -> dict[str, Any]:
        """Close its standard input and return the JSON object it prints."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        found = json.loads(self.line("{", timeout_s))
        assert isinstance(found, dict)
        return found

    def stop(self) -> None:
        """Ask it to end; kill it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-3:] if line.strip()) or "(it printed nothing)"
