from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from common.errors import CloudUnreachable, PeerRejected, ProtocolViolation
from common.stream.messages import Fault, Hello, MainFrame, Role, SideFrame
from common.types import SideCodec
from edge.report import StreamStats
from edge.uplink import Outgoing, Uplink


def hello(fakes) -> Hello:
    return Hello("car", Role.BOTH, fakes.bundle_id, 64, 96, 64, 96, SideCodec.HEVC)


@pytest.fixture
def uplink(cloud, fakes) -> Iterator[Uplink]:
    link = Uplink(cloud.address, hello(fakes), StreamStats())
    yield link
    link.close()


def main(seq: int) -> Outgoing:
    return Outgoing(time.monotonic_ns(), MainFrame(seq, seq, b"m"), None)


def side(seq: int, reference: int | None) -> Outgoing:
    frame = SideFrame(seq, seq, b"s", keyframe=reference is None, reference_seq=reference or 0)
    return Outgoing(time.monotonic_ns(), None, frame)


def finish(link: Uplink) -> None:
    link.finish()
    assert link.wait_done(30)


def test_frames_go_and_goodbye_comes(uplink, cloud) -> None:
    assert uplink.connect().max_in_flight == 256
    for seq in range(3):
        uplink.queue.put(main(seq))
    finish(uplink)
    assert uplink.failure is None
    assert uplink.goodbye.decoded == 3
    assert uplink.lag_ms() == 0


def test_nothing_is_sent_before_the_welcome(uplink, cloud) -> None:
    uplink.queue.put(main(0))
    cloud.greet = False
    cloud.ack_gate.clear()
    with pytest.raises(CloudUnreachable, match=r"no answer within 0\.3 s"):
        uplink.connect(timeout_s=0.3)
    assert not cloud.mains
    assert uplink._stats.main_drops.as_dict() == {"shutdown": 1}


def test_side_frames_whose_reference_was_dropped_stay_home(uplink, cloud) -> None:
    uplink.connect()
    for item in (side(0, None), side(1, 0), side(3, 2), side(4, 3), side(5, None), side(6, 5)):
        uplink.queue.put(item)
    finish(uplink)
    assert [f.seq for f in cloud.sides] == [0, 1, 5, 6]
    assert uplink._stats.side_drops.as_dict() == {"send_queue": 2}
    assert cloud.end.side_dropped.send_queue == 2


def test_lag_is_the_age_of_the_oldest_unsettled(uplink, cloud, eventually) -> None:
    cloud.ack_gate.clear()
    uplink.connect()
    uplink.queue.put(main(0))
    uplink.queue.put(main(1))
    assert eventually(lambda: uplink.lag_ms() > 50)
    cloud.ack_gate.set()
    finish(uplink)
    assert uplink.lag_ms() == 0


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (44, grpc.StatusCode.ALREADY_EXISTS, PeerRejected),
        (25, grpc.StatusCode.FAILED_PRECONDITION, PeerRejected),
        (41, grpc.StatusCode.UNAVAILABLE, CloudUnreachable),
        (70, grpc.StatusCode.INTERNAL, PeerRejected),
    ],
)
def test_faults_become_errors(uplink, cloud, code, status, error) -> None:
    cloud.fault = (Fault(code, "because of this"), status)
    with pytest.raises(error, match="because of this"):
        uplink.connect()


def test_other_wire_version_is_refused(uplink, cloud) -> None:
    cloud.welcome_version = 2
    with pytest.raises(ProtocolViolation, match="wire version 2"):
        uplink.connect()


def test_ack_of_an_unknown_frame_is_a_violation(uplink, cloud, fakes) -> None:
    cloud.ack = lambda frame: fakes.decoded(MainFrame(99, 0, b"x"))
    uplink.connect()
    uplink.queue.put(main(0))
    assert uplink.wait_done(30)
    assert isinstance(uplink.failure, ProtocolViolation) and "frame 99" in str(uplink.failure)


def test_end_without_goodbye_is_a_violation(uplink, cloud) -> None:
    cloud.say_goodbye = False
    uplink.connect()
    finish(uplink)
    assert isinstance(uplink.failure, ProtocolViolation) and "goodbye" in str(uplink.failure)


def test_another_service_on_the_port(fakes) -> None:
    from concurrent import futures

    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    link = Uplink(f"127.0.0.1:{port}", hello(fakes), StreamStats())
    try:
        with pytest.raises(PeerRejected, match="UNIMPLEMENTED"):
            link.connect()
    finally:
        link.close()
        server.stop(0)


def test_listener_that_never_answers(fakes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Uplink(f"127.0.0.1:{silent.getsockname()[1]}", hello(fakes), StreamStats())
        begun = time.monotonic()
        with pytest.raises(CloudUnreachable):
            link.connect(timeout_s=0.5)
        assert time.monotonic() - begun < 3
        link.close()


def test_queue_is_closed_when_the_connection_goes(uplink, cloud, eventually) -> None:
    uplink.connect()
    cloud.server.stop(0)
    assert uplink.wait_done(30)
    assert eventually(lambda: uplink.queue.closed)
    assert isinstance(uplink.failure, CloudUnreachable)


class CountingProxy:
    """Forward one TCP connection and count the bytes that go up."""

    def __init__(self, port: int) -> None:
        self.up = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._pump, args=(far, near, False), daemon=True).start()
        self._pump(near, far, True)

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        try:
            while data := source.recv(65536):
                self.up += len(data) if up else 0
                sink.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()


def test_wire_bytes_are_those_on_the_connection(cloud, fakes) -> None:
    proxy = CountingProxy(cloud.port)
    link = Uplink(f"127.0.0.1:{proxy.port}", hello(fakes), StreamStats(), wait=True)
    try:
        link.connect()
        time.sleep(0.2)
        before = proxy.up
        for seq in range(100):
            link.queue.put_wait(Outgoing(time.monotonic_ns(), MainFrame(seq, 10**18 + seq, bytes(400)), None))
        finish(link)
        time.sleep(0.2)
        counted, stated = proxy.up - before, link._stats.sizes["wire"]
    finally:
        link.close()
        proxy.close()
    # Beside the frames: the end, pings, window updates and settings acks.
    assert stated <= counted <= stated * 1.15
    assert stated / 100 - 400 <= 32  # what TRANSPORT.md, section 10 says of a main frame
