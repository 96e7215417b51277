"""A cloud, an encoder and a camera that do as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest

from common.bitstream.session import SessionFacts
from common.errors import InputError
from common.pb import ingest_pb2, ingest_pb2_grpc
from common.stream.convert import downlink_to_pb, uplink_from_pb
from common.stream.limits import WIRE_VERSION, server_options
from common.stream.messages import (
    Ack,
    DownlinkMessage,
    End,
    Fault,
    Goodbye,
    Hello,
    MainFrame,
    Ping,
    Pong,
    SideFrame,
    Status,
    Telemetry,
    Welcome,
)
from common.types import SideState, StereoFrame

BUNDLE_ID = b"bundle!!"


def decoded(frame: MainFrame) -> Ack:
    return Ack(frame.seq, Status.DECODED, SideState.EXACT, frame.capture_ns, 1.0, 2.0)


@dataclass
class FakeCloud(ingest_pb2_grpc.IngestServicer):
    """Record what arrives; answer as told."""

    port: int = 0
    ack: Callable[[MainFrame], Ack | None] = decoded
    max_in_flight: int = 256
    welcome_version: int = WIRE_VERSION
    welcome: Callable[[Hello], Welcome] | None = None
    extra: list[DownlinkMessage] = field(default_factory=list)
    greet: bool = True
    say_goodbye: bool = True
    fault: tuple[Fault, grpc.StatusCode] | None = None
    die_at: int | None = None
    read_gate: threading.Event = field(default_factory=threading.Event)
    ack_gate: threading.Event = field(default_factory=threading.Event)
    hello: Hello | None = None
    hellos: list[Hello] = field(default_factory=list)
    pings: list[Ping] = field(default_factory=list)
    telemetry: list[Telemetry] = field(default_factory=list)
    mains: list[MainFrame] = field(default_factory=list)
    sides: list[SideFrame] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    end: End | None = None
    server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def Push(self, request_iterator, context):
        hello = uplink_from_pb(next(request_iterator))
        assert isinstance(hello, Hello)
        self.hello = hello
        self.hellos.append(hello)
        if self.fault:
            yield downlink_to_pb(self.fault[0])
            context.abort(self.fault[1], self.fault[0].message)
        if not self.greet:
            self.ack_gate.wait(20)
            return
        made = self.welcome(hello) if self.welcome else None
        yield downlink_to_pb(made or Welcome("s-1", self.max_in_flight, self.welcome_version))
        end = None
        for message in self.extra:
            yield downlink_to_pb(message)
        self.read_gate.wait(20)
        for raw in request_iterator:
            message = uplink_from_pb(raw)
            if isinstance(message, End):
                self.end = end = message
                break
            if isinstance(message, Ping):
                self.pings.append(message)
                now = time.monotonic_ns()
                yield downlink_to_pb(Pong(message.edge_ns, now, now))
                continue
            if isinstance(message, Telemetry):
                self.telemetry.append(message)
                continue
            self.order.append(f"{type(message).__name__[0]}{message.seq}")
            if isinstance(message, SideFrame):
                self.sides.append(message)
                continue
            self.mains.append(message)
            if self.die_at is not None and len(self.mains) >= self.die_at:
                context.abort(grpc.StatusCode.UNAVAILABLE, "test: died")
            self.ack_gate.wait(20)
            ack = self.ack(message)
            if ack:
                yield downlink_to_pb(ack)
        if end and self.say_goodbye:
            yield downlink_to_pb(Goodbye(decoded=len(self.mains), side_received=len(self.sides)))


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    fake = FakeCloud()
    fake.read_gate.set()
    fake.ack_gate.set()
    fake.server = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
    ingest_pb2_grpc.add_IngestServicer_to_server(fake, fake.server)
    fake.port = fake.server.add_insecure_port("127.0.0.1:0")
    fake.server.start()
    yield fake
    fake.read_gate.set()
    fake.ack_gate.set()
    fake.server.stop(0).wait(5)


@dataclass(frozen=True)
class FakeEncoded:
    packet: bytes
    ms: dict[str, float]


@dataclass
class FakeEncoder:
    """Give packets that say the quality; images of value 13 are refused."""

    delay_s: float = 0.0
    packet_bytes: int = 60
    qualities: list[int] = field(default_factory=list)

    def encode(self, image: np.ndarray, quality: int) -> FakeEncoded:
        if image[0, 0, 0] == 13:
            raise InputError("unlucky image")
        time.sleep(self.delay_s)
        self.qualities.append(quality)
        return FakeEncoded(bytes([quality]) * self.packet_bytes, {"transform": 1.0, "total": 1.5})

    def session(self, height: int, width: int) -> SessionFacts:
        return SessionFacts(BUNDLE_ID, height, width)


def picture(value: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def stereo(seq: int, value: int = 100) -> StereoFrame:
    return StereoFrame(seq, 1_000_000_000 + seq * 100_000_000, picture(value), picture(value + 1))


@dataclass
class FakeCamera:
    """Give `count` frames, each after `gap_s`; raise `error` after them."""

    count: int = 5
    gap_s: float = 0.0
    error: Exception | None = None
    make: Callable[[int], StereoFrame] = stereo
    fps: float = 10.0
    name: str = "fake"
    closed: bool = False

    def frames(self, start: int = 0) -> Iterator[StereoFrame]:
        for seq in range(start, self.count):
            if self.gap_s:
                time.sleep(self.gap_s)
            yield self.make(seq)
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fakes() -> type[Fakes]:
    return Fakes


class Fakes:
    """The classes above, for tests (test folders are no packages, so they cannot import each other)."""

    Camera = FakeCamera
    Encoder = FakeEncoder
    bundle_id = BUNDLE_ID
    stereo = staticmethod(stereo)
    picture = staticmethod(picture)
    decoded = staticmethod(decoded)
    uplink_pb = ingest_pb2.Uplink


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Wait until something becomes true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., bool]:
    return eventually
