"""Two network namespaces for the two ends of a link, and the devices in them; all gone when the block ends."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from common.errors import StreamError, UsageError

EDGE_ADDRESS, CLOUD_ADDRESS = "10.97.0.1", "10.97.0.2"
DEVICE = "link0"
MTU = 1500
_NAME = re.compile(r"^mdic-(?:edge|cloud)-(\d+)$")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def require_root() -> None:
    """Check that this machine lets us make namespaces.

    Raises:
        UsageError: not Linux, not root, or a tool or device is missing.
    """
    if not sys.platform.startswith("linux"):
        raise UsageError(f"link emulation needs Linux's network namespaces, this is {sys.platform}")
    if os.geteuid() != 0:
        raise UsageError("link emulation makes network namespaces and devices: run it as root")
    if shutil.which("ip") is None:
        raise UsageError("link emulation needs the command `ip` (package iproute2)")
    if not Path("/dev/net/tun").exists():
        raise UsageError("link emulation needs /dev/net/tun (kernel module tun)")


def ip(*arguments: str) -> str:
    """Run `ip` and return what it prints.

    Raises:
        StreamError: it failed.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise StreamError(f"ip {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def namespaces() -> dict[str, int]:
    """Return name -> number of the process that made it, for every namespace of ours on this machine."""
    found = {}
    for item in json.loads(ip("-j", "netns", "list") or "[]"):
        match = _NAME.match(item["name"])
        if match:
            found[match[0]] = int(match[1])
    return found


def remove_stale() -> list[str]:
    """Remove the namespaces of runs that died, with the processes left in them; return their names."""
    removed = []
    for name, owner in namespaces().items():
        if not Path(f"/proc/{owner}").exists():
            remove(name)
            removed.append(name)
    return removed


def remove(name: str) -> None:
    """End the processes in a namespace and delete it."""
    for word in ip("netns", "pids", name).split():
        try:
            os.kill(int(word), signal.SIGKILL)
        except ProcessLookupError:
            continue
    ip("netns", "delete", name)


def open_tun() -> tuple[int, str]:
    """Return descriptor and name of a new TUN device; it lives as long as the descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH22x", b"mdictun%d", _IFF_TUN | _IFF_NO_PI)
        answer = fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError as error:
        os.close(descriptor)
        raise StreamError(f"no TUN device: {error.strerror}") from None
    return descriptor, answer[:16].rstrip(b"\0").decode()


class Namespaces:
    """Two namespaces named after this process; with `tun`, a TUN device in each whose descriptors we hold.

    Attributes:
        edge: name of the edge's namespace.
        cloud: name of the cloud's.
        descriptors: of the TUN devices, edge's and cloud's; None when the two are joined by a veth pair.
    """

    def __init__(self, tun: bool = True) -> None:
        self.edge, self.cloud = f"mdic-edge-{os.getpid()}", f"mdic-cloud-{os.getpid()}"
        self.descriptors: tuple[int, int] | None = None
        self._tun = tun

    def __enter__(self) -> Namespaces:
        """Make them.

        Raises:
            UsageError: this machine does not let us.
            StreamError: a step failed; what was made is removed.
        """
        require_root()
        remove_stale()
        try:
            for name in (self.edge, self.cloud):
                ip("netns", "add", name)
            if self._tun:
                self.descriptors = (self._add_tun(self.edge), self._add_tun(self.cloud))
            else:
                end = ("type", "veth", "peer", "name", DEVICE, "netns", self.cloud)
                ip("-n", self.edge, "link", "add", DEVICE, *end)
            self._configure(self.edge, EDGE_ADDRESS)
            self._configure(self.cloud, CLOUD_ADDRESS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove them."""
        self.close()

    def close(self) -> None:
        """Remove whatever there is, with the processes inside."""
        there = namespaces()
        for name in (self.edge, self.cloud):
            if name in there:
                remove(name)
        for descriptor in self.descriptors or ():
            os.close(descriptor)
        self.descriptors = None

    def command(self, name: str, *words: str) -> list[str]:
        """Return the command that runs `words` inside a namespace."""
        return ["ip", "netns", "exec", name, *words]

    def _add_tun(self, name: str) -> int:
        descriptor, device = open_tun()
        try:
            ip("link", "set", device, "netns", name)
            ip("-n", name, "link", "set", device, "name", DEVICE)
        except StreamError:
            os.close(descriptor)
            raise
        return descriptor

    def _configure(self, name: str, address: str) -> None:
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", f"{address}/30", "dev", DEVICE)
        # One packet on the wire for one segment: nothing may be joined before the bottleneck.
        ip("-n", name, "link", "set", DEVICE, "mtu", str(MTU), "gso_max_segs", "1", "up")
