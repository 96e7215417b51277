"""What /proc says of a process."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.gateway.proc import need_proc, usage

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="no /proc on this system")


def test_this_process_is_seen_to_grow() -> None:
    before = usage(os.getpid())
    assert before is not None
    # A mapping of its own: the allocator of a process that was large before has room enough without growing.
    ballast = mmap.mmap(-1, 32 << 20)
    ballast.write(b"\1" * len(ballast))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    end = time.process_time() + 0.1
    with Path("/proc/self/statm").open():
        while time.process_time() < end:
            pass
        after = usage(os.getpid())
    stop.set()
    thread.join()
    assert after is not None and len(ballast)
    assert after.rss_kib - before.rss_kib > 20 << 10
    assert after.threads == before.threads + 1
    assert after.descriptors == before.descriptors + 1
    assert after.cpu_s > before.cpu_s


def test_a_process_that_has_ended_is_not_there() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert usage(process.pid) is None
    need_proc()
