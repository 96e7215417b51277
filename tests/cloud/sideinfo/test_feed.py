"""The queue between the wire and the side decoder."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fake_cloud import go

from cloud.pairing import SideView
from cloud.sideinfo.feed import QUEUE_FRAMES, SideFeed
from cloud.sideinfo.sidecodec import SidePacket
from common.errors import CorruptPayload


class Target:
    def __init__(self) -> None:
        self.open: list[int] = []
        self.views: list[int] = []

    def announce_side(self, capture_ns: int) -> None:
        self.open.append(capture_ns)

    def resolve_side(self, capture_ns: int) -> None:
        self.open.remove(capture_ns)

    def add_side(self, side: SideView) -> None:
        self.views.append(side.capture_ns)


class Decoder:
    """Hold one view back, refuse 13, crash at 14."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.gate, self.held, self.busy = gate, [], 0

    def decode(self, packet: SidePacket) -> list[SideView]:
        self.busy += 1
        assert self.busy == 1, "two at once"
        if self.gate is not None:
            self.gate.wait(10)
        self.busy -= 1
        if packet.seq == 13:
            raise CorruptPayload("unlucky")
        if packet.seq == 14:
            raise ZeroDivisionError
        ready, self.held = self.held, [SideView(packet.capture_ns, np.zeros((1, 1, 3), np.uint8))]
        return ready

    def flush(self) -> list[SideView]:
        ready, self.held = self.held, []
        return ready


def feed_of(decoder: Decoder, target: Target, lost: list[tuple]) -> tuple[SideFeed, ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(4)
    return SideFeed(decoder, target, threads, lambda: None, lambda *what: lost.append(what)), threads


def test_views_come_in_order_and_errors_spoil_only_their_frame() -> None:
    async def check() -> None:
        target, lost = Target(), []
        feed, threads = feed_of(Decoder(), target, lost)
        for seq in range(10, 17):
            await feed.put(SidePacket(seq, seq, b"x"))
        await feed.drain()
        assert target.views == [10, 11, 12, 15, 16] and target.open == []
        assert [(capture_ns, str(error), kind) for capture_ns, error, kind in lost] == [
            (13, "corrupt payload: unlucky", "CorruptPayload"),
            (14, "None", "ZeroDivisionError"),
        ]
        threads.shutdown()

    go(check())


def test_a_full_queue_makes_the_sender_wait() -> None:
    async def check() -> None:
        gate = threading.Event()
        target = Target()
        feed, threads = feed_of(Decoder(gate), target, [])
        await feed.put(SidePacket(0, 0, b"x"))
        await asyncio.sleep(0.05)  # taken into work
        for seq in range(1, QUEUE_FRAMES + 1):
            await feed.put(SidePacket(seq, seq, b"x"))
        blocked = asyncio.ensure_future(feed.put(SidePacket(99, 99, b"x")))
        await asyncio.sleep(0.05)
        assert not blocked.done() and len(target.open) == QUEUE_FRAMES + 1
        gate.set()
        await blocked
        await feed.drain()
        assert target.views[-1] == 99
        threads.shutdown()

    go(check())


def test_large_frames_fill_the_queue_by_bytes() -> None:
    async def check() -> None:
        gate = threading.Event()
        feed, threads = feed_of(Decoder(gate), Target(), [])
        large = bytes(30 << 20)
        await feed.put(SidePacket(0, 0, large))
        await asyncio.sleep(0.05)
        for seq in (1, 2):
            await feed.put(SidePacket(seq, seq, large))
        blocked = asyncio.ensure_future(feed.put(SidePacket(3, 3, large)))
        await asyncio.sleep(0.05)
        assert not blocked.done()
        gate.set()
        await blocked
        await feed.drain()
        threads.shutdown()

    go(check())


def test_closing_takes_announcements_back() -> None:
    async def check() -> None:
        gate = threading.Event()
        target = Target()
        feed, threads = feed_of(Decoder(gate), target, [])
        for seq in range(3):
            await feed.put(SidePacket(seq, seq, b"x"))
        await asyncio.sleep(0.05)
        feed.close()
        gate.set()
        await asyncio.sleep(0.05)
        assert target.open == []
        threads.shutdown()

    go(check())
