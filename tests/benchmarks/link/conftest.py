from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.link.netns import ip, open_tun, require_root
from common.errors import MdicError


@pytest.fixture
def namespaces_allowed() -> Iterator[None]:
    """Skip where this machine does not let us make namespaces and TUN devices; one such test at a time, everywhere.

    Namespaces and their mounts are the machine's: `ip netns` of two tests at once can fail in either.
    """
    try:
        require_root()
    except MdicError as error:
        pytest.skip(f"no network namespaces here: {error}")
    import fcntl  # there is none off Unix, and require_root has said so

    with (Path(tempfile.gettempdir()) / "mdic-netns-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            name = f"mdic-edge-{os.getpid()}"
            ip("netns", "add", name)
            ip("netns", "delete", name)
            os.close(open_tun()[0])
        except (MdicError, OSError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield
