from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.link import netns
from benchmarks.link.netns import CLOUD_ADDRESS, Namespaces, namespaces, remove_stale, require_root
from common.errors import UsageError


def test_without_root_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match=r"root|Linux"):
        require_root()


def test_off_linux_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="darwin"):
        require_root()


@pytest.mark.usefixtures("namespaces_allowed")
@pytest.mark.parametrize("tun", [True, False])
def test_two_ends_that_are_gone_afterwards(tun: bool) -> None:
    with Namespaces(tun) as spaces:
        assert {spaces.edge, spaces.cloud} <= set(namespaces())
        shown = subprocess.run(
            spaces.command(spaces.edge, "ip", "route", "get", CLOUD_ADDRESS),
            capture_output=True,
            text=True,
            check=True,
        )
        assert netns.DEVICE in shown.stdout
        assert (spaces.descriptors is not None) == tun
    assert not {spaces.edge, spaces.cloud} & set(namespaces())


@pytest.mark.usefixtures("namespaces_allowed")
def test_an_error_inside_leaves_nothing_behind() -> None:
    with pytest.raises(RuntimeError), Namespaces() as spaces:
        sleeper = subprocess.Popen(spaces.command(spaces.edge, "sleep", "60"))
        while not netns.ip("netns", "pids", spaces.edge).strip():  # it must be in there before the error
            assert sleeper.poll() is None
        raise RuntimeError
    assert sleeper.wait(10) != 0
    assert spaces.edge not in namespaces()


@pytest.mark.usefixtures("namespaces_allowed")
def test_namespaces_of_the_dead_are_removed() -> None:
    done = subprocess.Popen([sys.executable, "-c", "pass"])
    done.wait()
    name = f"mdic-edge-{done.pid}"
    netns.ip("netns", "add", name)
    sleeper = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
    while not netns.ip("netns", "pids", name).strip():
        assert sleeper.poll() is None
    assert name in remove_stale()
    assert name not in namespaces()
    assert sleeper.wait(10) != 0
