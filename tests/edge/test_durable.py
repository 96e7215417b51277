from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import grpc
import pytest

from common.errors import CameraError, CloudUnreachable, PeerRejected, SpoolError, StreamError, UsageError
from common.stream.messages import Ack, Fault, Mode, Role, Status, Welcome
from common.types import SideState
from edge.session import StreamParts, StreamPlan, StreamSession
from edge.spool import Spool, SpoolReader


class Sink:
    """A fake cloud's memory: what it has acknowledged, and the welcome and acks that follow from it."""

    def __init__(self, cloud, base: int = 0) -> None:
        self.cloud, self.base, self.kept = cloud, base, {}
        self.refuse: dict[int, int] = {}
        self.failed: set[int] = set()
        cloud.welcome, cloud.ack = self.welcome, self.ack

    def welcome(self, hello) -> Welcome:
        if not self.kept:
            return Welcome("s", 8, base_seq=self.base)
        below = hello.oldest_seq
        while below in self.kept:
            below += 1
        return Welcome("s", 8, next_seq=below, held=tuple((n, n) for n in sorted(self.kept) if n > below)[:0])

    def ack(self, frame) -> Ack:
        if self.refuse.get(frame.seq, 0):
            self.refuse[frame.seq] -= 1
            return Ack(frame.seq, Status.UNKEPT, detail="disk full")
        if frame.seq in self.failed:
            return Ack(frame.seq, Status.FAILED, detail="corrupt payload")
        self.kept[frame.seq] = hashlib.sha256(frame.packet).hexdigest()
        return Ack(frame.seq, Status.DECODED, SideState.EXACT)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def durable(cloud, fakes, spool):
    def make(source, address: str | None = None, **changes) -> StreamSession:
        settings = {
            "camera": "fake",
            "cloud": address or cloud.address,
            "vehicle": "car",
            "timeout_s": 20.0,
            "fps": 0.0,
            "mode": Mode.DURABLE,
            "spool": spool,
        } | changes
        parts = StreamParts(source, changes.get("encoder", fakes.Encoder()), fakes.bundle_id)
        settings.pop("encoder", None)
        run = StreamSession(StreamPlan(**settings), parts, notice=lambda line: told.append(line))
        return run

    told: list[str] = []
    make.told = told
    return make


def ledger(spool: Path) -> list[dict]:
    reader = SpoolReader(spool)
    rows = list(reader.ledger())
    reader.close()
    return rows


def test_everything_is_acknowledged_and_gone_from_the_spool(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud, base=100)
    run = durable(fakes.Camera(count=30))
    assert run.run() is None
    assert [f.seq for f in cloud.mains] == list(range(100, 130)) == [f.seq for f in cloud.sides]
    assert cloud.hello.mode is Mode.DURABLE and len(cloud.hello.stream_id) == 16
    summary = run.summary()
    frames = summary["frames"]
    assert (frames["captured"], frames["decoded"], frames["unsettled"]) == (30, 30, 0)
    assert (summary["mode"], summary["spool"], summary["session"]) == ("durable", str(spool), "s")
    assert {row["seq"]: row["sha256"] for row in ledger(spool)} == sink.kept
    # The next run is another pass: new numbers, the same stream.
    stream_id = cloud.hello.stream_id
    assert durable(fakes.Camera(count=5)).run() is None
    assert [f.seq for f in cloud.mains[30:]] == list(range(130, 135))
    assert cloud.hello.stream_id == stream_id and cloud.hello.oldest_seq == 130


def test_cloud_that_is_not_there_yet(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    cloud.fault = (Fault(41, "starting"), grpc.StatusCode.UNAVAILABLE)
    threading.Timer(1.0, lambda: setattr(cloud, "fault", None)).start()
    run = durable(fakes.Camera(count=100))
    assert run.run() is None
    assert len(sink.kept) == 100
    assert "starting" in durable.told[0] and "again" in durable.told[-1]
    assert run.summary()["latency_ms"]["count"] == 100


def test_cloud_that_dies_again_and_again(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    cuts = iter([3, 11, 12, 40])
    cloud.die_at = next(cuts)
    make = sink.welcome

    def welcome(hello) -> Welcome:
        if len(cloud.hellos) > 1:
            later = next(cuts, None)
            cloud.die_at = None if later is None else len(cloud.mains) + later
        return make(hello)

    cloud.welcome = welcome
    run = durable(fakes.Camera(count=120))
    assert run.run() is None
    assert {row["seq"]: row["sha256"] for row in ledger(spool)} == sink.kept and len(sink.kept) == 120
    assert run.summary()["frames"]["resent"] >= 1
    assert run.summary()["connections"]["lost"] == 4


def test_frames_the_cloud_cannot_keep_come_again(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    sink.refuse = {4: 2, 9: 1}
    assert durable(fakes.Camera(count=20)).run() is None
    assert sorted(sink.kept) == list(range(20))
    # Frame 4 is refused on two connections; frame 9 on one of them if it was on its way already, else on one more.
    assert len(cloud.hellos) in (3, 4)
    assert any("disk full" in line for line in durable.told)


def test_frame_that_can_never_be_decoded_is_kept_out_and_told(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    sink.failed = {2}
    error = durable(fakes.Camera(count=5)).run()
    assert type(error) is StreamError and "1 frames failed" in str(error)
    assert [row["state"] for row in ledger(spool)] == ["kept", "kept", "failed", "kept", "kept"]


def test_refusal_leaves_the_frames_in_the_spool(durable, cloud, fakes, spool) -> None:
    cloud.fault = (Fault(26, "bundle 00 is not 11"), grpc.StatusCode.FAILED_PRECONDITION)
    begun = time.monotonic()
    run = durable(fakes.Camera(count=5), timeout_s=1.0)
    error = run.run()
    assert isinstance(error, PeerRejected) and error.exit_code == 44 and error.code == 26
    assert time.monotonic() - begun < 15
    assert len(cloud.hellos) == 1  # slowly: only a person can help
    assert run.summary(error)["frames"]["unsettled"] == 5 == SpoolReader(spool).pending
    cloud.fault = None
    sink = Sink(cloud)
    assert durable(fakes.Camera(count=5)).run() is None
    assert sorted(sink.kept) == list(range(5))  # the same pass: nothing was captured twice


def test_cloud_that_never_comes(durable, fakes, spool) -> None:
    run = durable(fakes.Camera(count=5), "127.0.0.1:1", timeout_s=1.0)
    error = run.run()
    assert isinstance(error, CloudUnreachable) and error.exit_code == 41
    assert run.summary(error)["frames"]["captured"] == 5


def test_recording_stopped_half_way_goes_on(durable, cloud, fakes, spool, eventually) -> None:
    sink = Sink(cloud)
    run = durable(fakes.Camera(count=60, gap_s=0.02))
    threading.Timer(0.5, run.stop).start()
    assert run.run() is None
    first = len(sink.kept)
    assert 0 < first < 60
    assert durable(fakes.Camera(count=60)).run() is None
    assert sorted(sink.kept) == list(range(60))
    assert [f.capture_ns for f in cloud.mains] == [fakes.stereo(n).capture_ns for n in range(60)]


def test_device_never_goes_back(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    run = durable(fakes.Camera(count=3), camera="v4l2:0", fps=None)
    assert run.run() is None
    assert durable(fakes.Camera(count=3), camera="v4l2:0", fps=None).run() is None
    assert sorted(sink.kept) == list(range(6))


def test_full_spool_holds_a_recording_up_until_there_is_room(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    cloud.ack_gate.clear()
    threading.Timer(1.0, cloud.ack_gate.set).start()
    assert durable(fakes.Camera(count=60), spool_bytes=4000).run() is None
    assert sorted(sink.kept) == list(range(60))


def test_full_spool_without_a_cloud_ends_and_goes_on_another_day(durable, cloud, fakes, spool) -> None:
    error = durable(fakes.Camera(count=60), "127.0.0.1:1", spool_bytes=4000, timeout_s=1.0).run()
    assert isinstance(error, CloudUnreachable)
    sink = Sink(cloud)
    assert durable(fakes.Camera(count=60), spool_bytes=4000).run() is None
    assert sorted(sink.kept) == list(range(60))
    assert [f.capture_ns for f in cloud.mains] == [fakes.stereo(n).capture_ns for n in range(60)]


def test_full_spool_refuses_what_does_not_wait(durable, cloud, fakes, spool) -> None:
    camera = fakes.Camera(count=60, gap_s=0.002)
    run = durable(camera, "127.0.0.1:1", camera="v4l2:0", fps=None, spool_bytes=4000, timeout_s=1.0)
    assert isinstance(run.run(), CloudUnreachable)
    dropped = run.summary()["dropped"]["main"]
    assert dropped["spool_full"] > 10
    assert run.summary()["frames"]["captured"] + sum(dropped.values()) == 60


def test_rig_clock_that_jumps_changes_nothing(durable, cloud, fakes, spool) -> None:
    hour = 3600 * 10**9

    def make(seq: int):
        frame = fakes.stereo(seq)
        jump = 2 * hour + (hour if 5 <= seq < 10 else -hour if seq >= 10 else 0)
        return type(frame)(frame.seq, frame.capture_ns + jump, frame.main, frame.side)

    sink = Sink(cloud)
    assert durable(fakes.Camera(count=15, make=make)).run() is None
    assert sorted(sink.kept) == list(range(15))
    assert [f.seq for f in cloud.mains] == list(range(15))


def test_camera_that_breaks_is_told_and_what_it_gave_arrives(durable, cloud, fakes, spool) -> None:
    sink = Sink(cloud)
    error = durable(fakes.Camera(count=4, error=CameraError("fake", "unplugged"))).run()
    assert isinstance(error, CameraError) and len(sink.kept) == 4


def test_what_makes_no_sense(durable, fakes, spool) -> None:
    with pytest.raises(UsageError, match="side"):
        durable(fakes.Camera(), role=Role.SIDE).run()
    with pytest.raises(UsageError, match="spool"):
        durable(fakes.Camera(), spool=None).run()
    with pytest.raises(CameraError, match="no frame"):
        durable(fakes.Camera(count=0)).run()
    taken = Spool(spool, 1 << 20)
    with pytest.raises(SpoolError, match="another process"):
        durable(fakes.Camera()).run()
    taken.close()


def test_defect_in_the_encoder_is_not_hidden(durable, cloud, fakes) -> None:
    class Broken:
        def encode(self, image: object, quality: int) -> None:
            raise ZeroDivisionError("ours")

    Sink(cloud)
    with pytest.raises(ZeroDivisionError):
        durable(fakes.Camera(), encoder=Broken()).run()
