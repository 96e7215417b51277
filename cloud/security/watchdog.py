"""Notice a peer that keeps a connection open and does nothing with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cloud.status import SilentPeer


class Watchdog:
    """Measure how long one wait for the peer takes; cheap enough for every message.

    Only time spent waiting for the peer counts: while the server itself is behind, nobody is blamed.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._since: float | None = None

    def waits(self) -> None:
        """Note that a wait for the peer begins."""
        self._since = self._clock()

    def served(self) -> None:
        """Note that it is over."""
        self._since = None

    @property
    def left_s(self) -> float:
        """Return how long the present wait may go on."""
        return self._limit_s if self._since is None else self._since + self._limit_s - self._clock()

    async def bark(self) -> None:
        """Sleep until a wait has taken too long.

        Raises:
            SilentPeer: it has.
        """
        while (left := self.left_s) > 0:
            await asyncio.sleep(left)
        raise SilentPeer(self._limit_s)
