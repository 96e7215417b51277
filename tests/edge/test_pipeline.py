from __future__ import annotations

import threading
import time

import pytest

from common.stream.queue import BoundedQueue
from edge.outgoing import Outgoing
from edge.pipeline import CAPTURE_QUEUE_FRAMES, Pipeline, ViewSizes
from edge.ratecontrol import Decision
from edge.report import StreamStats
from edge.sidecodec import CodedSide

SIZE = (64, 96)


class ChainSide:
    """A codec of which only the first frame, and those asked for, stand alone."""

    def __init__(self, data_bytes: int = 10) -> None:
        self.want = True
        self.asked = 0
        self.data_bytes = data_bytes

    def encode(self, image: object) -> CodedSide:
        key, self.want = self.want, False
        return CodedSide(bytes(self.data_bytes), key)

    def request_keyframe(self) -> None:
        self.want = True
        self.asked += 1

    def close(self) -> None:
        pass


def pipeline(fakes, queue: BoundedQueue[Outgoing], side: ChainSide | None = None, **changes) -> Pipeline:
    settings = {
        "main_encoder": fakes.Encoder(),
        "side_encoder": side or ChainSide(),
        "quality": lambda: Decision(4),
    } | changes
    return Pipeline("fake", ViewSizes(SIZE, SIZE), queue, StreamStats(), **settings)


def drain(queue: BoundedQueue[Outgoing]) -> list[Outgoing]:
    return queue.abort()


def test_views_of_a_frame_stay_together_and_chains_are_named(fakes) -> None:
    queue: BoundedQueue[Outgoing] = BoundedQueue(16)
    pipe = pipeline(fakes, queue, wait=True)
    pipe.start(fakes.Camera(count=4).frames())
    assert pipe.join(30) and pipe.failure is None
    items = drain(queue)
    assert [(i.main.seq, i.side.seq, i.side.keyframe, i.side.reference_seq) for i in items] == [
        (0, 0, True, 0),
        (1, 1, False, 0),
        (2, 2, False, 1),
        (3, 3, False, 2),
    ]
    assert items[1].main.capture_ns == items[1].side.capture_ns == 1_100_000_000


def test_dropping_a_side_frame_asks_for_a_keyframe(fakes) -> None:
    queue: BoundedQueue[Outgoing] = BoundedQueue(2)
    side = ChainSide()
    pipe = pipeline(fakes, queue, side)
    pipe.start(fakes.Camera(count=5, gap_s=0.03).frames())
    assert pipe.join(30)
    items = drain(queue)
    assert [i.main.seq for i in items] == [3, 4]
    assert pipe._stats.main_drops.as_dict() == {"send_queue": 3}
    assert side.asked == 3
    assert items[-1].side.keyframe


def test_oversize_side_frame_is_left_out_and_breaks_the_chain(fakes) -> None:
    queue: BoundedQueue[Outgoing] = BoundedQueue(16)
    side = ChainSide(data_bytes=17 << 20)
    pipe = pipeline(fakes, queue, side, wait=True)
    pipe.start(fakes.Camera(count=1).frames())
    assert pipe.join(30)
    (item,) = drain(queue)
    assert item.side is None and item.main.seq == 0
    assert pipe._stats.side_drops.as_dict() == {"too_large": 1} and side.asked == 1


def test_stop_lets_what_is_captured_through(fakes) -> None:
    queue: BoundedQueue[Outgoing] = BoundedQueue(100)
    pipe = pipeline(fakes, queue, wait=True, main_encoder=fakes.Encoder(delay_s=0.02))
    pipe.start(fakes.Camera(count=1000).frames())
    time.sleep(0.1)
    pipe.stop()
    assert pipe.join(30)
    sent = len(drain(queue))
    assert 0 < sent < 100
    assert 0 <= pipe._stats.frames["captured"] - sent - pipe._stats.main_drops.total <= 1


def test_closed_send_queue_ends_both_threads_and_counts_what_is_left(fakes) -> None:
    queue: BoundedQueue[Outgoing] = BoundedQueue(1)
    pipe = pipeline(fakes, queue, wait=True)
    pipe.start(fakes.Camera(count=1000).frames())
    time.sleep(0.1)
    queue.abort()
    assert pipe.join(30) and pipe.failure is None
    assert 1 <= pipe._stats.main_drops["shutdown"] <= CAPTURE_QUEUE_FRAMES + 1


def test_hanging_camera_does_not_hold_up_the_end(fakes) -> None:
    never = threading.Event()

    def frames():
        yield fakes.stereo(0)
        never.wait(20)

    queue: BoundedQueue[Outgoing] = BoundedQueue(4)
    pipe = pipeline(fakes, queue)
    pipe.start(frames())
    time.sleep(0.1)
    pipe.stop()
    assert pipe.join(2)
    assert len(queue) == 1
    never.set()


@pytest.mark.parametrize("wait", [True, False])
def test_defect_is_kept_for_the_caller(fakes, wait: bool) -> None:
    class Broken:
        def encode(self, image: object, quality: int) -> None:
            raise ZeroDivisionError

    pipe = pipeline(fakes, BoundedQueue(4), wait=wait, main_encoder=Broken())
    pipe.start(fakes.Camera(count=100).frames())
    assert pipe.join(30)
    assert isinstance(pipe.failure, ZeroDivisionError)
