from __future__ import annotations

import json
import threading
import time

import grpc
import pytest

from common.errors import (
    CameraError,
    CloudUnreachable,
    PeerRejected,
    ProtocolViolation,
    StreamError,
)
from common.stream.messages import Ack, Fault, Role, Status
from common.types import SideCodec, StereoFrame
from edge.session import StreamParts, StreamPlan, StreamSession
from edge.sidecodec import parse_side_codec


def session(cloud, camera, encoder, fakes, **changes) -> StreamSession:
    settings = {
        "camera": "fake",
        "cloud": cloud.address,
        "vehicle": "car",
        "timeout_s": 30.0,
        "fps": 0.0,
    } | changes
    return StreamSession(StreamPlan(**settings), StreamParts(camera, encoder, fakes.bundle_id))


def test_every_frame_arrives_side_first_and_is_settled(cloud, fakes) -> None:
    camera = fakes.Camera(count=40)
    run = session(cloud, camera, fakes.Encoder(), fakes, quality=3)
    assert run.run() is None
    assert [f.seq for f in cloud.mains] == list(range(40)) == [f.seq for f in cloud.sides]
    assert cloud.order[:4] == ["S0", "M0", "S1", "M1"]
    assert cloud.mains[7].capture_ns == 1_700_000_000
    assert cloud.mains[0].packet == bytes([3]) * 60
    assert (cloud.hello.role, cloud.hello.bundle_id) == (Role.BOTH, fakes.bundle_id)
    assert (cloud.hello.height, cloud.hello.width) == (64, 96)
    assert (cloud.end.main_frames, cloud.end.side_frames, cloud.end.main_dropped.total) == (40, 40, 0)
    assert camera.closed
    summary = run.summary()
    assert summary["frames"] == {
        "captured": 40,
        "sent": 40,
        "side_sent": 40,
        "resent": 0,
        "held": 0,
        "acked": 40,
        "decoded": 40,
        "dropped_by_cloud": 0,
        "failed": 0,
        "unsettled": 0,
    }
    assert summary["bytes"]["main"] == 40 * 60
    assert summary["bpp"] == pytest.approx(60 * 8 / (64 * 96), abs=1e-5)
    assert summary["latency_ms"]["count"] == 40
    assert summary["session"] == "s-1"
    json.dumps(summary)


def test_window_is_respected_without_drops(cloud, fakes, eventually) -> None:
    cloud.max_in_flight = 3
    cloud.ack_gate.clear()
    run = session(cloud, fakes.Camera(count=40), fakes.Encoder(), fakes)
    thread = threading.Thread(target=run.run)
    thread.start()
    assert eventually(lambda: run.stats.frames["main_sent"] == 3)
    time.sleep(0.3)
    assert run.stats.frames["main_sent"] == 3
    # Bounded inside too: 3 in flight, 1 at the window, 16 to send, 1 encoding, 4 captured, 1 at the door.
    assert run.stats.frames["captured"] <= 3 + 1 + 16 + 1 + 4 + 1
    cloud.ack_gate.set()
    thread.join(30)
    assert run.stats.frames["decoded"] == 40
    assert run.stats.main_drops.total == 0


def test_live_drops_the_oldest_and_counts_them(cloud, fakes, eventually) -> None:
    cloud.read_gate.clear()  # the cloud reads nothing: flow control stops the sender
    big = fakes.Encoder(packet_bytes=500_000)
    run = session(cloud, fakes.Camera(count=60, gap_s=0.005), big, fakes, fps=1000.0)
    errors = []
    thread = threading.Thread(target=lambda: errors.append(run.run()))
    thread.start()
    assert eventually(lambda: run.stats.frames["captured"] == 60)
    time.sleep(0.2)
    cloud.read_gate.set()
    thread.join(60)
    assert errors == [None]
    dropped = run.summary()["dropped"]["main"]
    assert dropped["send_queue"] > 10
    assert run.stats.frames["main_sent"] + sum(dropped.values()) == 60
    assert [f.seq for f in cloud.mains][-16:] == list(range(44, 60))  # the newest survive
    assert cloud.end.main_dropped.send_queue == dropped["send_queue"]
    assert cloud.end.side_dropped.send_queue == dropped["send_queue"]


def test_live_slow_encoder_drops_before_encoding(cloud, fakes) -> None:
    encoder = fakes.Encoder(delay_s=0.05)
    run = session(
        cloud,
        fakes.Camera(count=30, gap_s=0.005),
        encoder,
        fakes,
        fps=1000.0,
        side_codec=parse_side_codec("jpeg"),
    )
    assert run.run() is None
    dropped = run.summary()["dropped"]["main"]
    assert dropped["capture_queue"] > 5
    assert dropped["capture_queue"] + len(cloud.mains) == 30
    assert len(encoder.qualities) == len(cloud.mains)


def test_recordings_are_paced_at_their_own_rate_or_the_one_asked_for(cloud, fakes) -> None:
    camera = fakes.Camera(count=6, fps=20.0)
    for fps, seconds in ((None, 5 / 20), (50.0, 5 / 50)):
        begun = time.monotonic()
        run = session(cloud, camera, fakes.Encoder(), fakes, fps=fps)
        assert run.run() is None
        assert run.stats.frames["decoded"] == 6
        assert seconds <= time.monotonic() - begun < seconds + 2


def test_recording_slows_down_instead_of_dropping_unless_told_otherwise(cloud, fakes) -> None:
    for fps, drops in ((None, False), (200.0, True)):
        camera = fakes.Camera(count=20, fps=200.0)
        run = session(cloud, camera, fakes.Encoder(delay_s=0.03), fakes, fps=fps)
        assert run.run() is None
        assert (run.stats.main_drops["capture_queue"] > 0) is drops
        assert run.stats.frames["decoded"] + run.stats.main_drops.total == 20


def test_main_role_sends_no_side(cloud, fakes) -> None:
    run = session(cloud, fakes.Camera(), fakes.Encoder(), fakes, role=Role.MAIN)
    assert run.run() is None
    assert len(cloud.mains) == 5 and not cloud.sides
    assert (cloud.hello.side_codec, cloud.hello.side_width) == (None, 0)


def test_side_role_needs_no_encoder(cloud, fakes) -> None:
    plan = StreamPlan("fake", cloud.address, "car", role=Role.SIDE, fps=0.0)
    run = StreamSession(plan, StreamParts(fakes.Camera(), None))
    assert run.run() is None
    assert len(cloud.sides) == 5 and not cloud.mains
    assert (cloud.hello.bundle_id, cloud.hello.height) == (b"", 0)
    assert cloud.hello.side_codec is SideCodec.WEBP_LOSSLESS
    assert run.summary()["fps"] is not None and run.summary()["bpp"] is None


def test_missing_views_are_left_out(cloud, fakes) -> None:
    def make(seq: int) -> StereoFrame:
        whole = fakes.stereo(seq)
        return StereoFrame(
            seq, whole.capture_ns, None if seq == 2 else whole.main, None if seq == 0 else whole.side
        )

    run = session(cloud, fakes.Camera(make=make), fakes.Encoder(), fakes)
    assert run.run() is None
    assert [f.seq for f in cloud.mains] == [0, 1, 3, 4]
    assert [f.seq for f in cloud.sides] == [1, 2, 3, 4]


def test_cloud_absent_is_quick_and_clear(fakes) -> None:
    camera = fakes.Camera()
    plan = StreamPlan("fake", "127.0.0.1:1", "car")
    begun = time.monotonic()
    with pytest.raises(CloudUnreachable, match=r"127\.0\.0\.1:1 .*Connection refused"):
        StreamSession(plan, StreamParts(camera, fakes.Encoder(), fakes.bundle_id)).run()
    assert time.monotonic() - begun < 15
    assert camera.closed


def test_foreign_bundle_is_told(cloud, fakes) -> None:
    cloud.fault = (Fault(26, "bundle 00 is not 11"), grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(PeerRejected, match=r"code 26.*bundle 00 is not 11"):
        session(cloud, fakes.Camera(), fakes.Encoder(), fakes).run()


def test_cloud_dies_in_the_middle_and_what_was_settled_is_told(cloud, fakes) -> None:
    cloud.die_at = 4
    run = session(cloud, fakes.Camera(count=200), fakes.Encoder(), fakes)
    error = run.run()
    assert isinstance(error, CloudUnreachable) and "test: died" in str(error)
    summary = run.summary(error)
    assert summary["frames"]["decoded"] == 3
    assert summary["frames"]["unsettled"] == summary["frames"]["sent"] - 3 >= 1
    assert summary["error"] == {"code": 41, "message": str(error)}


def test_server_stopped_in_the_middle(cloud, fakes, eventually) -> None:
    camera = fakes.Camera(count=10_000, gap_s=0.01)
    run = session(cloud, camera, fakes.Encoder(), fakes, fps=1000.0, timeout_s=2.0)
    errors = []
    thread = threading.Thread(target=lambda: errors.append(run.run()))
    thread.start()
    assert eventually(lambda: run.stats.frames["decoded"] >= 3)
    cloud.server.stop(0)
    thread.join(30)
    assert isinstance(errors[0], CloudUnreachable)
    assert run.stats.frames["decoded"] >= 3


def test_camera_failing_in_the_middle_keeps_what_was_sent(cloud, fakes) -> None:
    run = session(
        cloud, fakes.Camera(count=3, error=CameraError("fake", "unplugged")), fakes.Encoder(), fakes
    )
    error = run.run()
    assert isinstance(error, CameraError) and "unplugged" in str(error)
    assert run.summary(error)["frames"]["decoded"] == 3
    assert cloud.end.main_frames == 3


def test_foreign_exception_of_a_camera_becomes_a_camera_error(cloud, fakes) -> None:
    error = session(cloud, fakes.Camera(error=OSError("no such device")), fakes.Encoder(), fakes).run()
    assert isinstance(error, CameraError) and "no such device" in str(error)


def test_camera_that_changes_its_size_ends_the_stream(cloud, fakes) -> None:
    def make(seq: int) -> StereoFrame:
        return fakes.stereo(seq) if seq < 2 else StereoFrame(seq, 0, fakes.picture(1, 80, 96), None)

    error = session(cloud, fakes.Camera(make=make), fakes.Encoder(), fakes).run()
    assert isinstance(error, CameraError) and "80x96" in str(error) and "64x96" in str(error)
    assert len(cloud.mains) == 2


def test_camera_without_a_frame(cloud, fakes) -> None:
    with pytest.raises(CameraError, match="no frame"):
        session(cloud, fakes.Camera(count=0), fakes.Encoder(), fakes).run()
    assert cloud.hello is None


def test_refused_image_is_counted_and_the_rest_goes_on(cloud, fakes) -> None:
    make = lambda seq: fakes.stereo(seq, 13 if seq == 1 else 100)  # noqa: E731
    run = session(cloud, fakes.Camera(make=make), fakes.Encoder(), fakes)
    assert run.run() is None
    assert run.summary()["dropped"]["main"]["encode_failed"] == 1
    assert [f.seq for f in cloud.mains] == [0, 2, 3, 4] and len(cloud.sides) == 5
    assert run.warnings == ["main view of frame 1: unlucky image"]


def test_oversize_packet_is_not_sent(cloud, fakes) -> None:
    run = session(cloud, fakes.Camera(), fakes.Encoder(packet_bytes=(1 << 20) + 1), fakes)
    assert run.run() is None
    assert run.summary()["dropped"]["main"]["too_large"] == 5
    assert not cloud.mains and cloud.end.main_dropped.too_large == 5


def test_defect_in_the_encoder_is_not_hidden(cloud, fakes) -> None:
    class Broken:
        def encode(self, image: object, quality: int) -> None:
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):
        session(cloud, fakes.Camera(), Broken(), fakes).run()


def test_frames_failed_in_the_cloud_make_the_exit_code(cloud, fakes) -> None:
    cloud.ack = lambda f: (
        Ack(f.seq, Status.FAILED, detail="corrupt payload") if f.seq == 1 else fakes.decoded(f)
    )
    run = session(cloud, fakes.Camera(), fakes.Encoder(), fakes)
    error = run.run()
    assert type(error) is StreamError and "1 frames failed" in str(error) and "corrupt payload" in str(error)
    assert run.summary(error)["dropped"]["cloud"] == {"corrupt payload": 1}


def test_frames_dropped_by_the_cloud_are_fine(cloud, fakes) -> None:
    cloud.ack = lambda f: Ack(f.seq, Status.DROPPED, detail="queue full")
    run = session(cloud, fakes.Camera(), fakes.Encoder(), fakes)
    assert run.run() is None
    assert run.summary()["frames"]["dropped_by_cloud"] == 5


def test_goodbye_with_frames_unsettled_is_a_violation(cloud, fakes) -> None:
    cloud.ack = lambda f: None
    run = session(cloud, fakes.Camera(), fakes.Encoder(), fakes)
    error = run.run()
    assert isinstance(error, ProtocolViolation) and "5 frames unsettled" in str(error)


def test_hung_cloud_ends_after_the_timeout(cloud, fakes) -> None:
    cloud.ack_gate.clear()
    run = session(cloud, fakes.Camera(), fakes.Encoder(), fakes, timeout_s=0.5)
    begun = time.monotonic()
    error = run.run()
    assert isinstance(error, ProtocolViolation) and "no ack" in str(error)
    assert time.monotonic() - begun < 15
    assert run.summary(error)["frames"]["unsettled"] == 5


def test_hung_cloud_with_a_full_window_ends_too(cloud, fakes) -> None:
    cloud.max_in_flight = 2
    cloud.ack_gate.clear()
    run = session(cloud, fakes.Camera(count=100), fakes.Encoder(), fakes, timeout_s=0.5)
    assert isinstance(run.run(), ProtocolViolation)
    assert run.summary()["frames"]["sent"] == 2


def test_stop_sends_the_rest_and_settles_it(cloud, fakes, eventually) -> None:
    run = session(cloud, fakes.Camera(count=100_000, gap_s=0.01), fakes.Encoder(), fakes, fps=1000.0)
    errors = []
    thread = threading.Thread(target=lambda: errors.append(run.run()))
    thread.start()
    assert eventually(lambda: run.stats.frames["decoded"] >= 5)
    run.stop()
    thread.join(30)
    assert errors == [None]
    assert cloud.end.main_frames == len(cloud.mains) == run.stats.frames["decoded"] < 1000


def test_auto_quality_falls_when_acks_lag(cloud, fakes, eventually) -> None:
    cloud.ack_gate.clear()
    encoder = fakes.Encoder()
    run = session(cloud, fakes.Camera(count=150, gap_s=0.02), encoder, fakes, fps=1000.0, quality=None)
    thread = threading.Thread(target=run.run)
    thread.start()
    assert eventually(lambda: bool(encoder.qualities) and encoder.qualities[-1] < 4)
    cloud.ack_gate.set()
    thread.join(30)
    assert encoder.qualities[0] == 4
    assert min(encoder.qualities) < 4


def test_auto_quality_without_a_load_to_follow_stays(cloud, fakes) -> None:
    encoder = fakes.Encoder()
    assert session(cloud, fakes.Camera(count=30), encoder, fakes, quality=None).run() is None
    assert set(encoder.qualities) == {4}
