from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from common.errors import CloudUnreachable, PeerRejected, ProtocolViolation
from common.stream.messages import (
    Fault,
    Hello,
    Hint,
    MainFrame,
    Mode,
    Pong,
    Role,
    SideFrame,
    Telemetry,
)
from common.stream.queue import BoundedQueue
from common.stream.sender import Sender, SenderState
from common.types import SideCodec
from edge.livesource import LiveSource
from edge.outgoing import Outgoing
from edge.report import StreamStats
from edge.uplink import Uplink


def hello(fakes) -> Hello:
    return Hello("car", Role.BOTH, fakes.bundle_id, 64, 96, 64, 96, SideCodec.HEVC)


class Link(Uplink):
    """A live connection with its queue."""

    def __init__(self, address: str, hello: Hello, *, wait: bool = False) -> None:
        self.change, self.stats = threading.Condition(), StreamStats()
        self.queue: BoundedQueue[Outgoing] = BoundedQueue(16, self.change)
        self.sender = Sender(Mode.LIVE, wait=wait)
        self.source = LiveSource(self.queue, self.sender, self.change, self.stats)
        self.heard: list[tuple] = []
        super().__init__(address, hello, self.source, self.sender, self.change, self.stats, listener=self)

    def on_sent(self, now_ns, seq, size, *, quality=None, main_bytes=None) -> None:
        self.heard.append(("sent", seq, size, main_bytes))

    def on_ack(self, now_ns, seq, cloud_ms=0.0) -> None:
        self.heard.append(("ack", seq, cloud_ms))

    def on_hint(self, now_ns, hint) -> None:
        self.heard.append(("hint", hint.window))

    def on_reset(self, now_ns) -> None:
        self.heard.append(("reset",))


@pytest.fixture
def uplink(cloud, fakes) -> Iterator[Link]:
    link = Link(cloud.address, hello(fakes))
    yield link
    link.close()


def main(seq: int) -> Outgoing:
    return Outgoing(time.monotonic_ns(), MainFrame(seq, seq, b"m"), None)


def side(seq: int, reference: int | None) -> Outgoing:
    frame = SideFrame(seq, seq, b"s", keyframe=reference is None, reference_seq=reference or 0)
    return Outgoing(time.monotonic_ns(), None, frame)


def finish(link: Link) -> None:
    link.queue.close()
    assert link.wait_done(30)


def test_frames_go_and_goodbye_comes(uplink, cloud) -> None:
    assert uplink.connect().max_in_flight == 256
    for seq in range(3):
        uplink.queue.put(main(seq))
    finish(uplink)
    assert uplink.failure is None
    assert uplink.sender.state is SenderState.CLOSED
    assert uplink.stats.frames["decoded"] == 3
    assert [what[:2] for what in uplink.heard if what[0] == "ack"] == [("ack", 0), ("ack", 1), ("ack", 2)]
    assert uplink.heard[0][:2] == ("sent", 0) and uplink.heard[0][3] == 1


def test_nothing_is_sent_before_the_welcome(uplink, cloud) -> None:
    uplink.queue.put(main(0))
    cloud.greet = False
    cloud.ack_gate.clear()
    with pytest.raises(CloudUnreachable, match=r"no answer within 0\.3 s"):
        uplink.connect(timeout_s=0.3)
    assert not cloud.mains and len(uplink.queue) == 1


def test_side_frames_whose_reference_was_dropped_stay_home(uplink, cloud) -> None:
    uplink.connect()
    for item in (side(0, None), side(1, 0), side(3, 2), side(4, 3), side(5, None), side(6, 5)):
        uplink.queue.put(item)
    finish(uplink)
    assert [f.seq for f in cloud.sides] == [0, 1, 5, 6]
    assert uplink.stats.side_drops.as_dict() == {"send_queue": 2}
    assert cloud.end.side_dropped.send_queue == 2


def test_heartbeats_tell_the_clock(uplink, cloud, eventually) -> None:
    uplink.connect()
    assert eventually(lambda: len(cloud.pings) >= 2)
    assert eventually(lambda: uplink.clock is not None)
    best = uplink.clock
    assert abs(best.offset_ns) <= best.rtt_ns  # both ends have the same clock here
    assert (cloud.pings[0].rtt_ns, cloud.pings[0].offset_ns) == (0, 0)
    assert eventually(lambda: cloud.pings[-1].rtt_ns > 0)
    assert not uplink.lost
    finish(uplink)


def test_hint_changes_the_window(cloud, fakes, eventually) -> None:
    cloud.extra = [Hint(100.0, 9, 1)]
    cloud.ack_gate.clear()
    link = Link(cloud.address, hello(fakes), wait=True)
    try:
        link.connect()
        assert eventually(lambda: ("hint", 1) in link.heard)
        for seq in range(3):
            link.queue.put(main(seq))
        assert eventually(lambda: link.sender.in_flight == 1)
        time.sleep(0.2)
        assert link.sender.in_flight == 1
        cloud.ack_gate.set()
        finish(link)
        assert link.stats.frames["decoded"] == 3
    finally:
        link.close()


def test_pong_nobody_asked_for_is_a_violation(uplink, cloud) -> None:
    cloud.extra = [Pong(1 << 62, 0, 0)]
    with contextlib.suppress(ProtocolViolation):
        uplink.connect()
    assert uplink.wait_done(30)
    assert isinstance(uplink.failure, ProtocolViolation) and "pong" in str(uplink.failure)


def test_telemetry_goes_before_its_frame_and_is_counted(uplink, cloud) -> None:
    uplink.connect()
    told = (Telemetry(0, 0, "oxts", b"1 2 3"),)
    uplink.queue.put(Outgoing(time.monotonic_ns(), MainFrame(0, 0, b"m"), None, 4, told))
    finish(uplink)
    assert cloud.telemetry == list(told)
    assert uplink.stats.sizes["wire"] > uplink.heard[0][3] + 14


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
    cloud.welcome_version = 1
    with pytest.raises(ProtocolViolation, match="wire version 1"):
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
    link = Link(f"127.0.0.1:{port}", hello(fakes))
    try:
        with pytest.raises(PeerRejected, match="UNIMPLEMENTED"):
            link.connect()
    finally:
        link.close()
        server.stop(0)


def test_listener_that_never_answers(fakes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = Link(f"127.0.0.1:{silent.getsockname()[1]}", hello(fakes))
        begun = time.monotonic()
        with pytest.raises(CloudUnreachable):
            link.connect(timeout_s=0.5)
        assert time.monotonic() - begun < 3
        link.close()


def test_queue_outlives_the_connection(uplink, cloud) -> None:
    uplink.connect()
    cloud.server.stop(0)
    assert uplink.wait_done(30)
    uplink.queue.put(main(0))  # for the next one
    assert len(uplink.queue) == 1
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
    link = Link(f"127.0.0.1:{proxy.port}", hello(fakes), wait=True)
    try:
        link.connect()
        time.sleep(0.2)
        before = proxy.up
        for seq in range(100):
            link.queue.put_wait(Outgoing(time.monotonic_ns(), MainFrame(seq, 10**18 + seq, bytes(400)), None))
        finish(link)
        time.sleep(0.2)
        counted, stated = proxy.up - before, link.stats.sizes["wire"]
    finally:
        link.close()
        proxy.close()
    # Beside the frames: the end, pings, window updates and settings acks.
    assert stated <= counted <= stated * 1.15
    assert stated / 100 - 400 <= 32  # what TRANSPORT.md, section 10 says of a main frame
