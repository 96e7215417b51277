"""The way of a vehicle's telemetry to the sinks: a durable record goes with its frame, a live one by itself."""

from __future__ import annotations

from cloud.sinks.writer import SinkWriter
from cloud.totals import Totals
from common.errors import ProtocolViolation
from common.stream.messages import Hello, Mode, Telemetry

FRAME_MESSAGES = 16
"""Messages of telemetry that a durable frame may have."""


class FrameTelemetry:
    """Hold what came before the frame it belongs to; in the event loop."""

    def __init__(self, vehicle: str, sinks: SinkWriter, totals: Totals) -> None:
        self._vehicle, self._sinks, self._totals = vehicle, sinks, totals
        self._waiting: list[Telemetry] = []

    def take(self, hello: Hello, message: Telemetry) -> None:
        """Take a message: durable ones wait for the main frame that follows, others go to the sinks now.

        Live ones are lost, and counted, when too many wait for the sinks.

        Raises:
            ProtocolViolation: more messages come than a frame may have.
        """
        if hello.mode is not Mode.DURABLE or not hello.role.has_main:
            kept = self._sinks.put_telemetry(self._vehicle, hello.stream_id, message)
            self._totals.take_telemetry(message, kept)
            return
        if len(self._waiting) >= FRAME_MESSAGES:
            raise ProtocolViolation(f"more than {FRAME_MESSAGES} messages of telemetry before a main frame")
        self._waiting.append(message)
        self._totals.take_telemetry(message, True)

    def of_frame(self, seq: int) -> tuple[Telemetry, ...]:
        """Return, once, what came for frame `seq`; what belongs to another frame is lost, and counted."""
        mine = tuple(message for message in self._waiting if message.seq == seq)
        self._totals.telemetry_lost += len(self._waiting) - len(mine)
        self._waiting.clear()
        return mine

    def clear(self) -> None:
        """Forget what a connection left behind: it comes again with its frame."""
        self._waiting.clear()
