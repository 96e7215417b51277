"""The edge's stream against a real cloud process that keeps the bitstreams (`--engine null`)."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import CloudUnreachable, PeerRejected
from common.stream.messages import Role
from common.types import StereoFrame
from edge.session import StreamParts, StreamPlan, StreamSession
from edge.sidecodec import parse_side_codec

BUNDLE_ID = b"any-8-by"
SIZE = (64, 96)
pytest.importorskip("grpc_health", reason="the cloud extra is not installed")


@dataclass(frozen=True)
class Encoded:
    packet: bytes
    ms: dict[str, float]


class Encoder:
    """Give well-formed packets with a made-up payload."""

    def encode(self, image: np.ndarray, quality: int) -> Encoded:
        packet = Packet(quality, bytes(50)).serialize(SessionFacts(BUNDLE_ID, *image.shape[:2]))
        return Encoded(packet, {"total": 1.0})


@dataclass
class Camera:
    count: int = 12
    gap_s: float = 0.0
    fps: float = 100.0
    name: str = "moving bars"

    def frames(self) -> Iterator[StereoFrame]:
        columns = np.arange(SIZE[1])
        for seq in range(self.count):
            time.sleep(self.gap_s)
            main, side = (
                np.broadcast_to(((columns + seq + shift) * 2 % 256)[None, :, None], (*SIZE, 3)).astype(
                    np.uint8
                )
                for shift in (0, 5)
            )
            yield StereoFrame(seq, 10**18 + seq * 10**8, main, side)

    def close(self) -> None:
        pass


@dataclass
class Cloud:
    process: subprocess.Popen[str]
    address: str
    sink: Path

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def cloud(root: Path, tmp_path: Path) -> Iterator[Cloud]:
    sink = tmp_path / "sink"
    command = [sys.executable, "-m", "cloud", "serve", "--engine", "null", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--sink", f"images:{sink}"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline().split()
    assert line[:2] == ["listening", "on"], process.communicate(timeout=10)
    yield Cloud(process, line[2], sink)
    if process.poll() is None:
        process.kill()
        process.communicate(timeout=10)


def session(cloud: Cloud, camera: Camera | None = None, **changes) -> StreamSession:
    plan = replace(StreamPlan("bars", cloud.address, "car", fps=0.0, timeout_s=60.0), **changes)
    parts = (
        StreamParts(camera or Camera(), Encoder(), BUNDLE_ID)
        if plan.role.has_main
        else StreamParts(Camera(), None)
    )
    return StreamSession(plan, parts)


@pytest.mark.parametrize("codec", ["webp", "jpeg:80", "hevc"])
def test_all_frames_arrive_with_their_side_view(cloud: Cloud, codec: str) -> None:
    if codec == "hevc":
        pytest.importorskip("av", reason="PyAV is not installed (it comes with the edge extra)")
    run = session(cloud, side_codec=parse_side_codec(codec))
    assert run.run() is None
    summary = run.summary()
    assert summary["frames"]["decoded"] == summary["frames"]["side_sent"] == 12
    assert summary["side_states"] == {"exact": 12}
    cloud.stop()
    assert cloud.process.returncode == 0
    assert len(list(cloud.sink.rglob("*.mdic"))) == 12


def test_two_processes_one_for_each_view(cloud: Cloud) -> None:
    side, main = session(cloud, role=Role.SIDE), session(cloud, role=Role.MAIN)
    results = []
    threads = [threading.Thread(target=lambda s=s: results.append(s.run())) for s in (side, main)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [None, None]
    assert main.summary()["frames"]["decoded"] == 12
    assert main.summary()["side_states"].get("exact", 0) >= 1


def test_second_connection_for_a_place_that_is_taken(cloud: Cloud) -> None:
    first = session(cloud, Camera(count=1000, gap_s=0.02))
    thread = threading.Thread(target=first.run)
    thread.start()
    while not first.stats.frames["decoded"]:
        time.sleep(0.02)
    with pytest.raises(PeerRejected, match="car"):
        session(cloud).run()
    first.stop()
    thread.join(60)
    assert first.summary()["frames"]["unsettled"] == 0


def test_stopped_cloud_settles_what_it_has(cloud: Cloud) -> None:
    run = session(cloud, Camera(count=10_000, gap_s=0.01), fps=100.0, timeout_s=3.0)
    results = []
    thread = threading.Thread(target=lambda: results.append(run.run()))
    thread.start()
    while run.stats.frames["decoded"] < 5:
        time.sleep(0.02)
    cloud.stop()
    thread.join(60)
    (error,) = results
    assert isinstance(error, CloudUnreachable) and "shutting down" in str(error)
    summary = run.summary(error)
    assert summary["frames"]["decoded"] == len(list(cloud.sink.rglob("*.mdic")))


def test_killed_cloud_is_told_with_what_was_settled(cloud: Cloud) -> None:
    run = session(cloud, Camera(count=10_000, gap_s=0.01), fps=100.0, timeout_s=3.0)
    results = []
    thread = threading.Thread(target=lambda: results.append(run.run()))
    thread.start()
    while run.stats.frames["decoded"] < 5:
        time.sleep(0.02)
    cloud.process.kill()
    thread.join(60)
    (error,) = results
    assert isinstance(error, CloudUnreachable)
    assert run.summary(error)["frames"]["decoded"] >= 5
