"""Decide what the next connection of a durable stream is for: which of the spool's frames, under which hello."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from common.errors import ForeignBundle, MdicError, PeerRejected
from common.stream.messages import Hello
from edge.courier import Call
from edge.spool.records import SpoolFormat
from edge.spool.source import SpoolSource

_FLUSH_S = 0.2
_LOOK_S = 0.5


class SpoolDialer:
    """Connect for the oldest frames first; frames of another format need a connection of their own.

    Frames made with a bundle that the cloud refuses do not hold up those of another: they wait for a cloud that has it.
    """

    def __init__(
        self,
        source: SpoolSource,
        change: threading.Condition,
        hello: Callable[[SpoolFormat, int], Hello],
        age_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            source: reads the spool.
            change: is notified of what is new there.
            hello: makes the hello of a format, with the first number still in the spool.
            age_s: give up frames older than that; None keeps them.
        """
        self.source = source
        self._change, self._hello, self._age_s = change, hello, age_s
        self._finished = False
        self._form: int | None = None
        self._refused: set[int] = set()
        self._flushed_s = time.monotonic()

    def finish(self) -> None:
        """Say that nothing more is captured: when the spool is empty, all is done."""
        with self._change:
            self.source.growing = None
            self._finished = True
            self._change.notify_all()

    def dial(self, over: Callable[[], bool]) -> Call | None:
        """Return the next connection to make, waiting for frames; None when there will be none any more."""
        while not over():
            if self._age_s is not None:
                self.source.expire(self._age_s)
            finished = self._finished  # read before the formats: what was captured last is among them
            formats = self.source.formats()
            if formats:
                if self._refused.issuperset(formats):
                    self._refused.clear()
                self._form = next(number for number in formats if number not in self._refused)
                oldest = self.source.choose(self._form)
                return Call(self._hello(formats[self._form], oldest), oldest)
            if finished:
                return None
            with self._change:
                self._change.wait(_LOOK_S)
        return None

    def tick(self) -> None:
        """Write down what is settled, a few times a second."""
        if time.monotonic() - self._flushed_s >= _FLUSH_S:
            self.source.flush()
            self._flushed_s = time.monotonic()

    def hung_up(self, failure: MdicError | None) -> None:
        """Write down what is settled, and remember a refused bundle."""
        self.source.flush()
        if isinstance(failure, PeerRejected) and failure.code == ForeignBundle.exit_code:
            self._refused.add(self._form if self._form is not None else -1)
