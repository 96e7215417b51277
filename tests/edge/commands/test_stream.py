from __future__ import annotations

import json
import os
import signal
import threading

import grpc
import pytest

from common.errors import CameraError, CloudUnreachable, PeerRejected, UsageError
from common.stream.messages import Fault, Mode, Role
from common.types import SideCodec
from edge.__main__ import main
from edge.commands import stream
from edge.session import StreamParts


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch, fakes):
    fake = fakes.Camera()
    monkeypatch.setattr(
        stream, "open_parts", lambda plan: StreamParts(fake, fakes.Encoder(), fakes.bundle_id)
    )
    return fake


def arguments(cloud, *more: str) -> list[str]:
    return ["stream", "--camera", "fake", "--cloud", cloud.address, "--vehicle", "car", "--fps", "0", *more]


def test_json_is_one_object_with_these_keys(cloud, camera, capsys) -> None:
    assert main(arguments(cloud, "--json")) == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert told.out.count("\n") == 1
    assert set(summary) == {
        "camera", "cloud", "vehicle", "session", "role", "bundle", "height", "width",
        "side_height", "side_width", "side_codec", "quality", "qualities", "frames", "dropped", "side_states",
        "mode", "stream_id", "spool", "late", "connections", "clock",
        "bytes", "bpp", "side_bpp", "seconds", "fps", "latency_ms", "cloud_ms", "encode_ms", "error",
    }  # fmt: skip
    assert set(summary["latency_ms"]) == {"count", "mean", "p50", "p95", "p99", "max"}
    assert set(summary["encode_ms"]) == {"transform", "total", "side"}
    assert summary["dropped"]["main"].keys() == {
        "capture_queue",
        "send_queue",
        "encode_failed",
        "too_large",
        "shutdown",
        "late",
        "spool_full",
        "thinned",
    }
    assert summary["frames"]["decoded"] == 5


def test_text_summary(cloud, camera, capsys) -> None:
    assert main(arguments(cloud)) == 0
    assert "5 decoded" in capsys.readouterr().out


def test_error_comes_after_the_summary(cloud, camera, capsys) -> None:
    camera.error = CameraError("fake", "unplugged")
    with pytest.raises(CameraError, match="unplugged"):
        main(arguments(cloud, "--json"))
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"]["decoded"] == 5
    assert summary["error"]["code"] == 45


def test_no_summary_when_it_never_began(cloud, camera, capsys) -> None:
    cloud.fault = (Fault(26, "foreign"), grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(PeerRejected):
        main(arguments(cloud, "--json"))
    with pytest.raises(CloudUnreachable):
        main(["stream", "--camera", "fake", "--cloud", "127.0.0.1:1", "--json"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_in_order(cloud, camera, capsys, eventually, number) -> None:
    camera.count, camera.gap_s = 100_000, 0.01
    before = signal.getsignal(number)

    def interrupt() -> None:
        assert eventually(lambda: len(cloud.mains) >= 3)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(arguments(cloud, "--json")) == 0
    thread.join()
    frames = json.loads(capsys.readouterr().out)["frames"]
    assert 3 <= frames["decoded"] == frames["sent"] < 1000
    assert cloud.end is not None
    assert signal.getsignal(number) is before


def test_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []

    def keep(plan):
        plans.append(plan)
        raise CameraError("fake", "not opened")

    monkeypatch.setattr(stream, "open_parts", keep)
    line = (
        "stream --camera kitti:x --cloud [::1]:50 --quality auto --role side --side-codec hevc:30 --frames 3"
    )
    with pytest.raises(CameraError):
        main(line.split())
    (plan,) = plans
    assert (plan.camera, plan.cloud, plan.role, plan.quality) == ("kitti:x", "[::1]:50", Role.SIDE, None)
    assert (plan.side_codec.codec, plan.side_codec.value) == (SideCodec.HEVC, 30)
    assert (plan.fps, plan.frames, plan.wait) == (None, 3, True)


def test_durable_stream_with_a_spool(cloud, camera, capsys, tmp_path) -> None:
    folder = tmp_path / "spool"
    assert main(arguments(cloud, "--mode", "durable", "--spool", str(folder), "--json")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["mode"], summary["spool"]) == ("durable", str(folder))
    assert summary["frames"]["captured"] == summary["frames"]["acked"] == 5
    assert cloud.hello.mode is Mode.DURABLE


def test_durable_stream_that_never_met_a_cloud_reports_too(camera, capsys, tmp_path) -> None:
    line = "stream --camera fake --cloud 127.0.0.1:1 --fps 0 --mode durable --timeout 0.5 --json --spool"
    with pytest.raises(CloudUnreachable):
        main([*line.split(), str(tmp_path / "spool")])
    told = capsys.readouterr()
    assert json.loads(told.out)["frames"]["unsettled"] == 5
    assert "trying again" in told.err


def test_default_spool(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert stream.default_spool("car-1") == tmp_path / "mdic" / "spool" / "car-1"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert stream.default_spool("car-1").parts[-5:] == (".local", "state", "mdic", "spool", "car-1")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("--spool x", "--mode durable"),
        ("--spool-bytes 1000000", "--mode durable"),
        ("--mode durable --deadline-ms 100", "--mode live"),
        ("--mode durable --reconnect", "--mode live"),
        ("--mode durable --role side", "--role side"),
        ("--mode durable --spool-bytes 10", "--spool-bytes"),
        ("--mode durable --spool-age 0", "--spool-age"),
        ("--deadline-ms 0", "--deadline-ms"),
        ("--deadline-ms 99999999", "--deadline-ms"),
        ("--cloud localhost", "HOST:PORT"),
        ("--cloud :50051", "HOST:PORT"),
        ("--cloud host:99999", "HOST:PORT"),
        ("--quality 9", "'9'"),
        ("--fps -1", "--fps -1"),
        ("--fps nan", "--fps nan"),
        ("--frames 0", "--frames 0"),
        ("--timeout 0", "--timeout"),
        ("--vehicle ../x", "'../x'"),
        ("--side-codec av2", "'av2'"),
    ],
)
def test_bad_arguments(more: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        main(["stream", "--camera", "c", "--cloud", "h:1", *more.split()])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("host", "name"),
    [("car-7.fleet.example", "car-7"), ("", "vehicle"), ("ä b", "--b"), ("x" * 99, "x" * 64)],
)
def test_default_vehicle(host: str, name: str) -> None:
    assert stream.default_vehicle(host) == name
