"""A rig's records from a camera to a real cloud process's recording: byte by byte, in both modes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.stream.messages import Mode
from common.synthetic import OxtsRecorder
from common.telemetry import TelemetryCodec
from common.telemetry.dictionary import SHIPPED
from common.types import RigRecord, StereoFrame
from edge.session import StreamParts, StreamPlan, StreamSession

BUNDLE_ID = b"any-8-by"
SIZE = (64, 96)
FRAMES = 23
CALIBRATION = b"P_rect_02: 7.215377e+02 0.000000e+00 6.095593e+02\n"
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


class Camera:
    """Show grey pictures, with a synthetic drive's records."""

    name, fps = "grey", 100.0

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        picture = np.full((*SIZE, 3), 90, np.uint8)
        recorder = OxtsRecorder(9)
        for seq in range(start, FRAMES):
            records = (RigRecord("oxts", recorder.record(seq)),)
            if seq == 0:
                records += (RigRecord("calib_cam_to_cam", CALIBRATION), RigRecord("raw", b"\xff\x00"))
            yield StereoFrame(seq, 10**18 + seq * 10**8, picture, picture, records)

    def close(self) -> None:
        pass


@pytest.fixture
def cloud(root: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "cloud", "serve", "--engine", "null", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--sink", f"images:{tmp_path / 'sink'}", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline().split()
    assert line[:2] == ["listening", "on"], process.communicate(timeout=10)
    yield process, line[2]
    if process.poll() is None:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.DURABLE])
def test_records_arrive_as_they_were(cloud, tmp_path: Path, mode: Mode) -> None:
    process, address = cloud
    spool = tmp_path / "spool" if mode is Mode.DURABLE else None
    plan = StreamPlan("grey", address, "car", fps=0.0, timeout_s=60.0, mode=mode, spool=spool)
    parts = StreamParts(Camera(), Encoder(), BUNDLE_ID, TelemetryCodec(SHIPPED.read_bytes()))
    run = StreamSession(plan, parts)
    assert run.run() is None
    process.send_signal(signal.SIGTERM)
    totals = json.loads(process.communicate(timeout=60)[0])
    lines = [json.loads(line) for line in (tmp_path / "sink" / "car" / "telemetry.jsonl").open()]
    oxts = {line["seq"]: line["text"].encode() for line in lines if line["kind"] == "oxts"}
    recorder = OxtsRecorder(9)
    assert oxts == {seq: recorder.record(seq) for seq in range(FRAMES)}
    assert len(lines) == FRAMES + 2 and {line["mode"] for line in lines} == {mode.name.lower()}
    assert next(line["text"] for line in lines if line["kind"] == "calib_cam_to_cam").encode() == CALIBRATION
    assert next(line["base64"] for line in lines if line["kind"] == "raw") == "/wA="
    assert all(line["capture_ns"] == 10**18 + line["seq"] * 10**8 for line in lines)
    # Ten records a message, or one: what is left over goes at the end.
    assert (
        totals["telemetry"] == (3 + 2 if mode is Mode.LIVE else FRAMES + 2) and totals["telemetry_lost"] == 0
    )
    sizes = run.summary()["bytes"]
    assert sizes["telemetry_raw"] == sum(map(len, oxts.values())) + len(CALIBRATION) + 2
    assert sizes["telemetry_sent"] == totals["telemetry_bytes"] < sizes["telemetry_raw"] * 0.5


def test_they_can_be_left_out(cloud, tmp_path: Path) -> None:
    process, address = cloud
    plan = StreamPlan("grey", address, "car", fps=0.0, timeout_s=60.0, telemetry=False)
    assert StreamSession(plan, StreamParts(Camera(), Encoder(), BUNDLE_ID)).run() is None
    process.send_signal(signal.SIGTERM)
    assert json.loads(process.communicate(timeout=60)[0])["telemetry"] == 0
    assert not (tmp_path / "sink" / "car" / "telemetry.jsonl").exists()
