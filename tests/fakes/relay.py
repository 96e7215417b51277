"""A cable between edge and cloud that can be cut: a relay of TCP connections in a process of its own."""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import sys
import time


def relay(listen: int, target: int) -> None:
    """Pass bytes both ways; stopped by SIGSTOP it is a cut cable, ended by SIGKILL a reset."""
    server = socket.create_server(("127.0.0.1", listen))
    chooser = selectors.DefaultSelector()
    chooser.register(server, selectors.EVENT_READ, None)
    while True:
        for key, _ in chooser.select():
            if key.data is None:
                near, _ = server.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", target), 1)
                except OSError:
                    near.close()
                    continue
                chooser.register(near, selectors.EVENT_READ, far)
                chooser.register(far, selectors.EVENT_READ, near)
                continue
            here, there = key.fileobj, key.data
            try:
                data = here.recv(65536)
                if data:
                    there.sendall(data)
                    continue
            except OSError:
                pass
            for end in (here, there):
                if end.fileno() >= 0:
                    chooser.unregister(end)
                    end.close()


class Cable:
    """A relay in a process of its own."""

    def __init__(self, target: int) -> None:
        self.port, self._target = _free_port(), target
        self.plug_in()

    def plug_in(self) -> None:
        """Start it."""
        self.process = subprocess.Popen([sys.executable, __file__, str(self.port), str(self._target)])
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the relay did not start")

    def cut(self, seconds: float) -> None:
        """Let nothing through for a while, without a word to either side."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        """Break every connection."""
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    relay(int(sys.argv[1]), int(sys.argv[2]))
