"""Durable streams over real gRPC: nothing is lost, nothing is kept twice, whatever becomes of connections."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from fake_cloud import cloud, go, until
from fake_decoder import POISON, FakeDecoder
from fake_edge import hello, main, new_stream, side

from cloud.scheduler import SchedulerLimits
from cloud.sinks.base import Kept, SinkFrame
from cloud.sinks.images import ImageSink
from common.bitstream.container import Container
from common.stream.messages import Ack, Hello, Mode, Role, Status
from common.types import SideState

ROOM = 4


def lasting(role: Role = Role.MAIN, **changes) -> Hello:
    return hello(role, mode=Mode.DURABLE, **{"stream_id": new_stream(), **changes})


def index(folder: Path, vehicle: str = "car-1") -> dict[int, dict]:
    lines = [json.loads(line) for line in (folder / vehicle / "index.jsonl").read_text().splitlines()]
    assert len({line["seq"] for line in lines}) == len(lines), "a frame stands in the index twice"
    return {line["seq"]: line for line in lines}


class GatedSink(ImageSink):
    """A disk that takes its time, or has no room."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.gate = threading.Event()
        self.gate.set()
        self.full = False

    def write_group(self, frames: Sequence[SinkFrame]) -> list[Kept | Exception]:
        assert self.gate.wait(60)
        if self.full:
            return [OSError(errno.ENOSPC, "No space left on device", "/secret/place")] * len(frames)
        return super().write_group(frames)


def test_a_recording_is_complete_and_acknowledged_in_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            welcome = await edge.open(lasting(Role.BOTH))
            assert (welcome.next_seq, welcome.held, welcome.base_seq) == (0, (), 0)
            for seq in range(20):
                await edge.send(side(seq), main(seq))
            await edge.end()
            assert {a.status for a in edge.acks.values()} == {Status.DECODED} and len(edge.acks) == 20
            # An ack counts only what has its line; the last one counts everything.
            assert max(a.cumulative for a in edge.acks.values()) == 20
            assert all(a.cumulative <= 20 for a in edge.acks.values())
            kept = index(tmp_path)
            assert {seq: line["bitstream_sha256"] for seq, line in kept.items()} == {
                seq: hashlib.sha256(main(seq).packet).hexdigest() for seq in range(20)
            }
            assert {line["side"] for line in kept.values()} == {"exact"}
            assert len(list((tmp_path / "car-1" / "main").glob("*.png"))) == 20

    go(check())


def test_an_ack_follows_the_sink(tmp_path: Path) -> None:
    async def check() -> None:
        sink = GatedSink(tmp_path)
        async with cloud(sinks=(sink,)) as c:
            edge = c.edge()
            await edge.open(lasting())
            sink.gate.clear()
            await edge.send(main(0))
            await until(lambda: c.writer.backlog == 1)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(edge.call.read(), 0.2)
            sink.gate.set()
            await edge.close()
            await until(lambda: len(index(tmp_path)) == 1)

    go(check())


def test_a_vehicle_that_comes_back_is_told_where_it_stands(tmp_path: Path) -> None:
    async def check() -> None:
        stream = new_stream()
        for restart in range(2):  # in one server's life, and after another has read the disk
            async with cloud(sinks=(ImageSink(tmp_path),)) as c:
                for again in range(2):
                    edge = c.edge()
                    welcome = await edge.open(lasting(stream_id=stream))
                    if restart or again:
                        assert (welcome.next_seq, welcome.held, welcome.base_seq) == (2, ((3, 3), (6, 8)), 0)
                    for seq in (0, 1, 3, 6, 7, 8):
                        await edge.send(main(seq))
                    await edge.end()
                    assert {a.status for a in edge.acks.values()} == {Status.DECODED}
                    assert {a.cumulative for a in edge.acks.values()} >= {2} and len(edge.acks) == 6
                assert c.totals.again == 6 * (restart + 1)
                assert len(c.decoder.batches) == 0 or not restart  # what is held is not decoded again
                other = c.edge()
                welcome = await other.open(lasting(oldest_seq=0))
                assert (welcome.next_seq, welcome.held, welcome.base_seq) == (0, (), 9)
                await other.end()
                older = c.edge()
                welcome = await older.open(lasting(stream_id=stream, oldest_seq=3))
                assert (welcome.next_seq, welcome.held) == (4, ((6, 8),))
                await older.end()
        assert sorted(index(tmp_path)) == [0, 1, 3, 6, 7, 8]

    go(check())


def test_a_frame_held_under_its_number_with_other_bytes_is_a_clear_failure(tmp_path: Path) -> None:
    async def check() -> None:
        stream = new_stream()
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            for payload, status in ((b"one", Status.DECODED), (b"two", Status.FAILED)):
                edge = c.edge()
                await edge.open(lasting(stream_id=stream))
                await edge.send(main(0, payload))
                await edge.end()
                assert edge.acks[0].status is status
            assert "other bytes" in edge.acks[0].detail
            assert (
                index(tmp_path)[0]["bitstream_sha256"] == hashlib.sha256(main(0, b"one").packet).hexdigest()
            )

    go(check())


def test_a_newer_connection_takes_the_place_and_the_answers(tmp_path: Path) -> None:
    async def check() -> None:
        gate, stream = threading.Event(), new_stream()
        async with cloud(FakeDecoder(gate=gate), sinks=(ImageSink(tmp_path),)) as c:
            first, second = c.edge(), c.edge()
            await first.open(lasting(stream_id=stream))
            await first.send(main(0), main(1), main(2))
            await until(lambda: c.totals.received == 3)
            await second.open(lasting(stream_id=stream))
            assert second.welcome is not None
            while await first.hear() is not None:
                pass
            assert first.fault is not None and "took its place" in first.fault.message
            assert await first.status() is grpc.StatusCode.ABORTED and first.acks == {}
            await second.send(main(1), main(2), main(3))
            await until(lambda: c.totals.received == 6)
            gate.set()
            await second.end()
            assert sorted(second.acks) == [1, 2, 3]
            assert {a.status for a in second.acks.values()} == {Status.DECODED}
            assert second.goodbye.decoded == 3
            await until(lambda: sorted(index(tmp_path)) == [0, 1, 2, 3])
            assert sum(len(batch) for batch in c.decoder.batches) == 4

    go(check())


def test_a_number_in_work_with_other_bytes_fails_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        gate, stream = threading.Event(), new_stream()
        async with cloud(FakeDecoder(gate=gate), sinks=(ImageSink(tmp_path),)) as c:
            first, second = c.edge(), c.edge()
            await first.open(lasting(stream_id=stream))
            await first.send(main(0))
            await until(lambda: c.totals.received == 1)
            await second.open(lasting(stream_id=stream))
            await second.send(main(0, b"another"))
            ack = await second.hear()
            assert isinstance(ack, Ack) and ack.status is Status.FAILED and "other bytes" in ack.detail
            gate.set()
            await until(lambda: sorted(index(tmp_path)) == [0])

    go(check())


def test_a_broken_connection_costs_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        gate, stream = threading.Event(), new_stream()
        async with cloud(FakeDecoder(gate=gate), sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting(stream_id=stream))
            await edge.send(main(0), main(1))
            await until(lambda: c.totals.received == 2)
            await edge.close()
            gate.set()
            await until(lambda: (tmp_path / "car-1" / "index.jsonl").exists() and len(index(tmp_path)) == 2)
            again = c.edge()
            assert (await again.open(lasting(stream_id=stream))).next_seq == 2

    go(check())


def test_another_stream_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    async def check() -> None:
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            first, other = c.edge(), c.edge()
            await first.open(lasting())
            await other.open(lasting())
            assert await other.status() is grpc.StatusCode.ALREADY_EXISTS
            await first.send(main(0))
            await first.end()
            assert first.acks[0].status is Status.DECODED

    go(check())


def test_a_full_disk_keeps_the_frame_with_the_sender_and_recovers(tmp_path: Path) -> None:
    async def check() -> None:
        sink, stream = GatedSink(tmp_path), new_stream()
        async with cloud(sinks=(sink,)) as c:
            edge = c.edge()
            await edge.open(lasting(stream_id=stream))
            await edge.send(main(0))
            await edge.hear()
            sink.full = True
            await edge.send(main(1))
            ack = await edge.hear()
            assert (ack.status, ack.detail, ack.cumulative) == (
                Status.UNKEPT,
                "not kept: No space left on device",
                1,
            )
            sink.full = False
            await edge.send(main(2))
            ack = await edge.hear()
            assert ack.status is Status.DECODED and ack.cumulative == 1
            await edge.end()
            again = c.edge()
            welcome = await again.open(lasting(stream_id=stream))
            assert (welcome.next_seq, welcome.held) == (1, ((2, 2),))
            await again.send(main(1))
            await again.end()
            assert again.acks[1].cumulative == 3 and sorted(index(tmp_path)) == [0, 1, 2]
            assert c.totals.as_dict()["unkept"] == 1

    go(check())


def test_queues_hold_a_durable_sender_back_instead_of_dropping(tmp_path: Path) -> None:
    async def check() -> None:
        gate = threading.Event()
        queue = SchedulerLimits(stream_frames=ROOM)
        async with cloud(
            FakeDecoder(gate=gate), max_batch=1, queue=queue, sinks=(ImageSink(tmp_path),), window=8
        ) as c:
            edge = c.edge()
            assert (await edge.open(lasting())).max_in_flight == 8
            for seq in range(30):  # a sender that does not care for its window
                await edge.send(main(seq))
            await until(lambda: c.scheduler.waiting >= ROOM)
            await asyncio.sleep(0.3)
            assert c.totals.received <= 8 + 1
            gate.set()
            await edge.end()
            assert {a.status for a in edge.acks.values()} == {Status.DECODED} and len(edge.acks) == 30
            assert sorted(index(tmp_path)) == list(range(30))

    go(check())


def test_stopping_leaves_what_is_not_decoded_with_the_sender(tmp_path: Path) -> None:
    async def check() -> None:
        gate = threading.Event()
        async with cloud(FakeDecoder(gate=gate), sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting())
            for seq in range(5):
                await edge.send(main(seq))
            await until(lambda: c.totals.received == 5)
            stopping = asyncio.ensure_future(c.stop(0.2))
            while await edge.hear() is not None:
                pass
            assert {(a.status, a.detail) for a in edge.acks.values()} == {(Status.UNKEPT, "shutdown")}
            assert edge.fault is not None and edge.fault.code == 41
            gate.set()
            await stopping

    go(check())


def test_what_does_not_decode_is_kept_as_it_came(tmp_path: Path) -> None:
    async def check() -> None:
        stream = new_stream()
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting(stream_id=stream))
            await edge.send(main(0), main(1, POISON), main(2, b"crash"))
            await edge.end()
            statuses = [edge.acks[seq].status for seq in range(3)]
            assert statuses == [Status.DECODED, Status.FAILED, Status.FAILED]
            assert max(a.cumulative for a in edge.acks.values()) == 3
            kept = index(tmp_path)
            assert "poisoned" in kept[1]["error"] and kept[2]["error"] == "internal error"
            for seq, payload in ((1, POISON), (2, b"crash")):
                content = (tmp_path / "car-1" / "main" / f"{seq:06d}.mdic").read_bytes()
                assert Container.parse(content).packet == main(seq, payload).packet

    go(check())


def test_a_packet_that_is_damaged_is_not_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting())
            bad = main(0)
            await edge.send(type(bad)(0, 0, bad.packet[:-1] + b"\xff\xff"), main(1))
            await edge.end()
            assert edge.acks[0].status is Status.FAILED and edge.acks[1].status is Status.DECODED
            assert edge.acks[1].cumulative == 0 and sorted(index(tmp_path)) == [1]

    go(check())


def test_without_a_sink_that_keeps_there_is_nothing_durable() -> None:
    async def check() -> None:
        async with cloud() as c:  # its sink is a list in memory
            edge = c.edge()
            await edge.open(lasting())
            assert edge.fault is not None and edge.fault.code == 44 and "images sink" in edge.fault.message
            assert await edge.status() is grpc.StatusCode.FAILED_PRECONDITION
            live = c.edge()
            await live.open(hello(Role.MAIN))
            assert live.welcome is not None

    go(check())


def test_a_recording_that_cannot_be_opened_is_tried_again_later(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "car-1").write_bytes(b"in the way")
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting())
            assert edge.fault is not None and edge.fault.code == 41
            assert str(tmp_path) not in edge.fault.message
            assert await edge.status() is grpc.StatusCode.UNAVAILABLE
            (tmp_path / "car-1").unlink()
            again = c.edge()
            await again.open(lasting())
            assert again.welcome is not None

    go(check())


def test_too_many_gaps_are_not_counted_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.mainview.MAX_RUNS", 3)

    async def check() -> None:
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting())
            for seq in (0, 2, 4, 6, 7, 8):
                await edge.send(main(seq))
                await edge.hear()
            told = {seq: ack.status for seq, ack in edge.acks.items()}
            assert [told[seq] for seq in (0, 2, 4)] == [Status.DECODED] * 3
            assert told[6] is Status.UNKEPT and "gaps" in edge.acks[6].detail

    go(check())


def test_durable_frames_of_a_side_view_that_came(tmp_path: Path) -> None:
    async def check() -> None:
        stream = new_stream()
        async with cloud(sinks=(ImageSink(tmp_path),)) as c:
            edge = c.edge()
            await edge.open(lasting(Role.BOTH, stream_id=stream))
            await edge.send(side(0), main(0), main(30))
            await edge.end()
            first = {seq: ack.side for seq, ack in edge.acks.items()}
            assert first == {0: SideState.EXACT, 30: SideState.MISSING}
            again = c.edge()
            await again.open(lasting(Role.BOTH, stream_id=stream))
            await again.send(main(0), main(30))  # its side views are gone, the answer is the same
            await again.end()
            assert {seq: ack.side for seq, ack in again.acks.items()} == first

    go(check())
