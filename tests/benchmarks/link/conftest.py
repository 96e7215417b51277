from __future__ import annotations

import pytest

from benchmarks.link.netns import ip, open_tun, require_root
from common.errors import MdicError


@pytest.fixture
def namespaces_allowed() -> None:
    """Skip where this machine does not let us make namespaces and TUN devices."""
    import os

    try:
        require_root()
        name = f"mdic-edge-{os.getpid()}"
        ip("netns", "add", name)
        ip("netns", "delete", name)
        os.close(open_tun()[0])
    except (MdicError, OSError) as error:
        pytest.skip(f"no network namespaces here: {error}")
