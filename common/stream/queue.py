"""A bounded queue between threads that drops its oldest item when full, or makes the producer wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The queue is closed: nothing more goes in, or nothing more comes out."""


class BoundedQueue(Generic[T]):
    """Hand items from producers to consumers in order, never holding more than `capacity`.

    `put` drops the oldest item to make room (a live stream wants the newest frames); `put_wait` waits for
    room instead (a recording wants them all). What was given up is returned to the caller, who counts it.
    """

    def __init__(self, capacity: int, change: threading.Condition | None = None) -> None:
        """Start empty.

        Args:
            capacity: most items held, 1 or more.
            change: guards the queue and is notified of each change; None for one of its own. Give one to wait for
                the queue and for something else at once.
        """
        if capacity < 1:
            raise ValueError(f"capacity {capacity} is below 1")
        self.capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._change = change or threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether `close` or `abort` was called."""
        return self._closed

    def put(self, item: T) -> T | None:
        """Add `item`; return the oldest item if it had to go.

        Raises:
            Closed: the queue is closed; the item was not taken.
        """
        with self._change:
            self._refuse_if_closed()
            dropped = self._items.popleft() if len(self._items) >= self.capacity else None
            self._items.append(item)
            self._change.notify_all()
            return dropped

    def put_wait(self, item: T, timeout_s: float | None = None) -> bool:
        """Add `item` once there is room; return False when there was none within `timeout_s`.

        Raises:
            Closed: the queue is closed, or was closed while waiting; the item was not taken.
        """
        with self._change:
            room = self._change.wait_for(lambda: self._closed or len(self._items) < self.capacity, timeout_s)
            self._refuse_if_closed()
            if room:
                self._items.append(item)
                self._change.notify_all()
            return room

    def get(self, timeout_s: float | None = None) -> T | None:
        """Return the oldest item, waiting for one; None when none came within `timeout_s`.

        Raises:
            Closed: the queue is closed and empty.
        """
        with self._change:
            self._change.wait_for(lambda: self._closed or self._items, timeout_s)
            if self._items:
                item = self._items.popleft()
                self._change.notify_all()
                return item
            self._refuse_if_closed()
            return None

    def close(self) -> None:
        """Take nothing more; what is inside can still be fetched."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def abort(self) -> list[T]:
        """Close, and return what was inside."""
        with self._change:
            self._closed = True
            left = list(self._items)
            self._items.clear()
            self._change.notify_all()
            return left

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Closed
