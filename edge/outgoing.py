"""What travels between the encoders and the connection, and how a connection asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from common.stream.messages import MainFrame, SideFrame, Telemetry
from common.stream.sender import Settled


@dataclass(frozen=True)
class Outgoing:
    """One captured frame, encoded: either view may be missing.

    Attributes:
        taken_ns: when it was captured, by the edge's monotonic clock.
        quality: index the main view was coded at.
        telemetry: records to go before it.
    """

    taken_ns: int
    main: MainFrame | None
    side: SideFrame | None
    quality: int | None = None
    telemetry: tuple[Telemetry, ...] = ()


@dataclass(frozen=True)
class Dispatch:
    """What a connection is to send next.

    Attributes:
        messages: in this order, numbered as on the wire; a main frame comes last.
        taken_ns: when the main frame was captured, by this process's monotonic clock; None when nobody knows.
        quality: index the main view was coded at, where known.
        again: whether this process has sent the main frame before.
    """

    messages: tuple[Telemetry | SideFrame | MainFrame, ...]
    taken_ns: int | None = None
    quality: int | None = None
    again: bool = False


class Source(Protocol):
    """Where a connection takes its frames from. `resumed` to `settled` are called with the sender's lock held."""

    def resumed(self, settled: Settled) -> None:
        """Take what the welcome settled; a connection begins.

        Raises:
            MdicError: it cannot begin.
        """

    def next(self, timeout_s: float, over: Callable[[], bool]) -> Dispatch | None:
        """Return what to send next, noted as sent; None when there was nothing within `timeout_s`, or it is over.

        Raises:
            Closed: nothing more will come on this connection.
        """

    def settled(self, settled: Settled) -> None:
        """Take what an ack settled."""
