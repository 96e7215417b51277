"""Loopback is what is certainly loopback."""

from __future__ import annotations

import pytest

from common.address import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.example", "::", "[fe80::1]", "2130706433"],
)
def test_elsewhere_or_unknown(host: str) -> None:
    assert not is_loopback(host)
