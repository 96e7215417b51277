"""An edge made of messages: talks to a real server and remembers what it was told."""

from __future__ import annotations

import asyncio
import itertools
from fractions import Fraction

import cv2
import grpc
import numpy as np
from fake_decoder import BUNDLE_ID, packet_of

from common.pb import ingest_pb2_grpc
from common.stream.convert import downlink_from_pb, uplink_to_pb
from common.stream.limits import client_options
from common.stream.messages import (
    Ack,
    DownlinkMessage,
    End,
    Fault,
    Goodbye,
    Hello,
    MainFrame,
    Role,
    SideFrame,
    UplinkMessage,
    Welcome,
)
from common.types import SideCodec

HEIGHT, WIDTH = 64, 96
STEP_NS = 100_000_000
_STREAMS = itertools.count(1)


def new_stream() -> bytes:
    """Return a stream id that no other edge of this test run has."""
    return next(_STREAMS).to_bytes(16, "big")


def hello(
    role: Role = Role.BOTH, vehicle: str = "car-1", codec: SideCodec = SideCodec.WEBP_LOSSLESS, **changes
) -> Hello:
    fields = {"vehicle": vehicle, "role": role, "camera": "fake", "stream_id": new_stream()}
    if role.has_main:
        fields |= {"bundle_id": BUNDLE_ID, "height": HEIGHT, "width": WIDTH}
    if role.has_side:
        fields |= {"side_height": HEIGHT, "side_width": WIDTH, "side_codec": codec}
    return Hello(**{**fields, **changes})


def picture(red: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = red
    return image


def coded(image: np.ndarray, suffix: str = ".webp") -> bytes:
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def main(seq: int, payload: bytes | None = None, capture_ns: int | None = None) -> MainFrame:
    payload = bytes([seq % 200]) if payload is None else payload
    return MainFrame(
        seq, STEP_NS * seq if capture_ns is None else capture_ns, packet_of(payload, HEIGHT, WIDTH)
    )


def side(seq: int, red: int | None = None, suffix: str = ".webp") -> SideFrame:
    return SideFrame(seq, STEP_NS * seq, coded(picture(seq + 10 if red is None else red), suffix))


def hevc(
    count: int, height: int = HEIGHT, width: int = WIDTH, start: int = 0, level: int = 20
) -> list[SideFrame]:
    """Return `count` side frames of one group of pictures; frame i is grey i * level."""
    import av

    context = av.CodecContext.create("libx265", "w")
    context.height, context.width, context.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
    context.time_base = Fraction(1, 10)
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "log-level=none:repeat-headers=1:pools=1:frame-threads=1",
    }
    units = []
    for i in range(count):
        grey = np.full((context.height, context.width, 3), i * level, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts = i
        units += context.encode(frame)
    units += context.encode(None)
    return [
        SideFrame(
            start + i,
            STEP_NS * (start + i),
            bytes(unit),
            unit.is_keyframe,
            0 if unit.is_keyframe else start + i - 1,
        )
        for i, unit in enumerate(units)
    ]


class Edge:
    """One connection."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(address, options=client_options())
        else:
            self.channel = grpc.aio.secure_channel(address, credentials, options=client_options())
        self.call = ingest_pb2_grpc.IngestStub(self.channel).Push(metadata=metadata)
        self.told: list[DownlinkMessage] = []

    async def open(self, message: Hello) -> DownlinkMessage | None:
        await self.send(message)
        return await self.hear()

    async def send(self, *messages: UplinkMessage) -> None:
        for message in messages:
            await self.call.write(uplink_to_pb(message))

    async def hear(self) -> DownlinkMessage | None:
        """Return the next answer; None when the server ended the connection."""
        try:
            answer = await asyncio.wait_for(self.call.read(), 60)
        except grpc.aio.AioRpcError:
            return None
        if answer is grpc.aio.EOF:
            return None
        self.told.append(downlink_from_pb(answer))
        return self.told[-1]

    async def end(self) -> None:
        """Say the end, half-close, and hear everything."""
        await self.send(End())
        await self.call.done_writing()
        while await self.hear() is not None:
            pass

    async def status(self) -> grpc.StatusCode:
        return await self.call.code()

    async def close(self) -> None:
        self.call.cancel()
        await self.channel.close()

    @property
    def acks(self) -> dict[int, Ack]:
        acks = [message for message in self.told if isinstance(message, Ack)]
        by_seq = {ack.seq: ack for ack in acks}
        assert len(by_seq) == len(acks), "a frame was acknowledged twice"
        return by_seq

    @property
    def goodbye(self) -> Goodbye | None:
        return next((message for message in self.told if isinstance(message, Goodbye)), None)

    @property
    def fault(self) -> Fault | None:
        return next((message for message in self.told if isinstance(message, Fault)), None)

    @property
    def welcome(self) -> Welcome | None:
        return next((message for message in self.told if isinstance(message, Welcome)), None)
