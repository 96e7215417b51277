"""What the rate controller is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Load:
    """How full the edge is at the moment of a decision.

    Attributes:
        queued: frames in the send queue.
        capacity: what the send queue holds at most.
        lag_ms: age of the oldest frame sent and not acknowledged; 0 without one. Used only as long as the
            controller is not told of frames sent: from those it knows better.
    """

    queued: int = 0
    capacity: int = 16
    lag_ms: float = 0.0


@dataclass(frozen=True)
class Feedback:
    """One frame that came through.

    Attributes:
        sent_ns: when it was handed to the connection.
        acked_ns: when its ack came, by the same clock.
        size: its bytes, both views and their headers.
        cloud_ms: the part of the time between that the cloud spent on pairing, waiting and decoding.
    """

    sent_ns: int
    acked_ns: int
    size: int
    cloud_ms: float = 0.0

    @property
    def network_ms(self) -> float:
        """Return the time the frame and its ack were under way; never below 0."""
        return max(0.0, (self.acked_ns - self.sent_ns) / NS_PER_MS - self.cloud_ms)


@dataclass(frozen=True)
class Decision:
    """What to do with the captured frame at hand.

    Attributes:
        quality: index to encode at, 0 to 7.
        frame_divisor: one frame in so many is sent: 1, 2, 4, 8 or 16.
        send: whether this very frame is one of those; otherwise it is thinned out.
    """

    quality: int
    frame_divisor: int = 1
    send: bool = True


class CloudHint(Protocol):
    """What the controller reads of `common.stream.messages.Hint`."""

    @property
    def queue_ms(self) -> float:
        """Age of the oldest frame waiting in the cloud."""

    @property
    def queued(self) -> int:
        """Frames waiting in the cloud."""

    @property
    def window(self) -> int:
        """Frames that may be sent and not acknowledged."""
