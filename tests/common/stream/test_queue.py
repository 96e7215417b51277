from __future__ import annotations

import threading
import time

import pytest

from common.stream.queue import BoundedQueue, Closed


def test_order_and_drop_oldest() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3)
    assert [queue.put(i) for i in range(5)] == [None, None, None, 0, 1]
    assert len(queue) == 3
    assert [queue.get() for _ in range(3)] == [2, 3, 4]
    assert queue.get(timeout_s=0.01) is None


def test_put_wait_waits_for_room() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    assert queue.put_wait(1)
    assert not queue.put_wait(2, timeout_s=0.01)
    thread = threading.Thread(target=queue.put_wait, args=(2,))
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    assert queue.get() == 1
    thread.join(2)
    assert queue.get() == 2


def test_get_waits_for_an_item() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    threading.Timer(0.05, queue.put, (7,)).start()
    assert queue.get(timeout_s=2) == 7


def test_close_keeps_what_is_inside() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    queue.put(1)
    queue.close()
    assert queue.closed
    for put in (queue.put, queue.put_wait):
        with pytest.raises(Closed):
            put(2)
    assert queue.get() == 1
    with pytest.raises(Closed):
        queue.get()


@pytest.mark.parametrize("end", ["close", "abort"])
def test_end_wakes_those_who_wait(end: str) -> None:
    full: BoundedQueue[int] = BoundedQueue(1)
    full.put(1)
    empty: BoundedQueue[int] = BoundedQueue(1)
    woken = []

    def waiting(call, *args) -> None:
        try:
            call(*args)
        except Closed:
            woken.append(call)

    threads = [threading.Thread(target=waiting, args=a) for a in ((full.put_wait, 2), (empty.get,))]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    left = [getattr(queue, end)() for queue in (full, empty)]
    for thread in threads:
        thread.join(2)
    assert len(woken) == 2
    if end == "abort":
        assert left == [[1], []]
        with pytest.raises(Closed):
            full.get()


def test_nothing_is_lost_between_threads() -> None:
    queue: BoundedQueue[int] = BoundedQueue(4)
    got: list[int] = []

    def consume() -> None:
        try:
            while True:
                got.append(queue.get())
        except Closed:
            pass

    consumer = threading.Thread(target=consume)
    consumer.start()
    dropped = [d for i in range(5000) if (d := queue.put(i)) is not None]
    queue.close()
    consumer.join(5)
    assert got == sorted(got)
    assert sorted(got + dropped) == list(range(5000))


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity 0"):
        BoundedQueue(0)


def test_a_condition_can_be_shared() -> None:
    change = threading.Condition()
    queue: BoundedQueue[int] = BoundedQueue(2, change)
    seen = []

    def watch() -> None:
        with change:
            seen.append(change.wait_for(lambda: len(queue) == 1, 10))

    thread = threading.Thread(target=watch)
    thread.start()
    queue.put(1)
    thread.join(10)
    assert seen == [True]
