"""Real processes to break: a cloud, edges, a drive to send, and the account that has to balance afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from common.bitstream.container import Container

FULL = os.environ.get("MDIC_FAULTS") == "full"
"""Everything (`make faults`), or a taste of it (`make test`)."""
ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 64, 128
VEHICLE = "car-1"
START_S = 60.0


def write_drive(folder: Path, frames: int, seed: int = 0) -> Path:
    """Write `frames` small stereo pairs in KITTI's left/right layout; every picture is another one."""
    rng = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH * 4, 3), np.uint8), (0, 0), 2)
    wall = cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX)
    for view, shift in (("left", 6), ("right", 0)):
        (folder / view).mkdir(parents=True)
        for index in range(frames):
            at = (3 * index + shift) % (WIDTH * 3)
            picture = wall[:, at : at + WIDTH].copy()
            cv2.putText(picture, str(index), (4, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
            cv2.imwrite(str(folder / view / f"{index:06d}.png"), picture)
    return folder


def free_port() -> int:
    """Return a port that was free a moment ago: restarted clouds have to come back at the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """One of our commands in a process of its own, its output in files (a pipe nobody reads would block it)."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start it."""
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self.command],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self.environment},
            stdout=self.out,
            stderr=self.err,
        )
        return self

    @property
    def pid(self) -> int:
        """Return its process number."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL: no handler, no flush, no goodbye."""
        if self.running:
            self.process.kill()
        if self.process is not None:
            self.process.wait(30)

    def wait(self, timeout_s: float = 120.0) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command} still ran after {timeout_s} s: {self.told()}") from None

    def output(self) -> str:
        """Return what it wrote to standard output so far."""
        return _read(self.out)

    def told(self) -> str:
        """Return the end of what it wrote to both outputs."""
        return (self.output() + _read(self.err))[-2000:]


def _read(file: IO[bytes]) -> str:
    """Return all of a file that a child writes to.

    The two share one offset: to seek here would make the child's next line overwrite its first.
    """
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


@dataclass
class Rig:
    """A folder, a port, and what runs there."""

    folder: Path
    port: int = field(default_factory=free_port)
    frames: int = 40
    sink: Path | None = None
    spool: Path | None = None
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sink = self.sink or self.folder / "sink"
        self.spool = self.spool or self.folder / "spool"
        self.drive = write_drive(self.folder / "drive", self.frames)

    def cloud(self, *extra: str, wait: bool = True, environment: dict[str, str] | None = None) -> Process:
        """Start a cloud that keeps bitstreams; wait until it listens."""
        command = ["cloud", "serve", "--engine", "null", "--listen", f"127.0.0.1:{self.port}"]
        cloud = Process([*command, "--sink", f"images:{self.sink}", *extra], environment or {}).start()
        self.processes.append(cloud)
        deadline = time.monotonic() + START_S
        while wait and "listening on" not in cloud.output():
            assert cloud.running, cloud.told()
            assert time.monotonic() < deadline, "the cloud did not start"
            time.sleep(0.02)
        return cloud

    def edge(
        self, *extra: str, port: int | None = None, environment: dict[str, str] | None = None, fps: float = 50
    ) -> Process:
        """Start a durable edge that sends the drive."""
        command = ["edge", "stream", "--camera", f"kitti:{self.drive}", "--mode", "durable", "--spool"]
        command += [str(self.spool), "--vehicle", VEHICLE, "--cloud", f"127.0.0.1:{port or self.port}"]
        command += ["--side-codec", "jpeg:60", "--json", "--fps", f"{fps:g}", *extra]
        edge = Process(command, environment or {}).start()
        self.processes.append(edge)
        return edge

    def stop(self) -> None:
        """End whatever still runs, stopped processes too."""
        for process in self.processes:
            process.signal(signal.SIGCONT)
            process.kill()

    # --- the account ----------------------------------------------------------------------------------------

    def index(self, vehicle: str = VEHICLE) -> list[dict[str, object]]:
        """Return the sink's index, line by line."""
        file = self.sink / vehicle / "index.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def captured(self, spool: Path | None = None) -> dict[int, str]:
        """Return what the spool says was captured: number -> SHA-256 of the packet that the encoder made."""
        command = [
            sys.executable,
            "-m",
            "edge",
            "spool",
            "--spool",
            str(spool or self.spool),
            "--ledger",
            "--json",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        return {int(row["seq"]): str(row["sha256"]) for row in told["ledger"]}

    def settle(self, vehicle: str = VEHICLE, spool: Path | None = None) -> int:
        """Check that everything captured is in the sink exactly once, byte for byte; return how many frames."""
        captured, lines = self.captured(spool), self.index(vehicle)
        numbers = [int(line["seq"]) for line in lines]
        assert len(numbers) == len(set(numbers)), "a frame stands in the index twice"
        kept = {int(line["seq"]): str(line["bitstream_sha256"]) for line in lines}
        assert set(captured) <= set(kept), f"lost: {sorted(set(captured) - set(kept))[:20]}"
        assert set(kept) <= set(captured), f"nobody captured: {sorted(set(kept) - set(captured))[:20]}"
        assert kept == captured, "bytes differ from what the encoder made"
        for seq, digest in kept.items():
            # The file itself, not only what the index says of it.
            container = Container.parse((self.sink / vehicle / "main" / f"{seq:06d}.mdic").read_bytes())
            assert hashlib.sha256(container.packet).hexdigest() == digest
        left = [p.name for p in (self.sink / vehicle).rglob("*") if p.name.endswith(".partial")]
        assert not left, f"half-written files stayed: {left}"
        return len(kept)
