"""A main frame on its way from the vehicle to its answer, and what the sinks are given of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.connection import Connection
from cloud.pairing import Paired
from cloud.scheduler import Outcome
from cloud.sinks.base import SinkFrame
from cloud.status import told as told_to_peer
from common.bitstream.session import SessionFacts
from common.errors import MdicError
from common.stream.messages import Ack, MainFrame, Status, Telemetry
from common.stream.receiver import Receiver
from common.types import SideState

SUSPECT_TRUST = 0.45
"""A decoder that takes less than this from its side view, in the mean, doubts that it shows the same place: the right
one lies far above, one of another drive far below (tests/cloud/test_side_trouble.py)."""
_TRUST_STEP = 8
"""The mean of the decoder's mask is taken over every eighth row and column."""


@dataclass(eq=False)
class Received:
    """Hold a main frame on its way and where its ack goes.

    Attributes:
        frame: as the vehicle sent it.
        connection: where its ack goes; a newer one where the vehicle asked again there.
        facts: of the session the frame belongs to.
        received_ns: monotonic clock.
        due_ns: when it is no longer wanted, on the same clock; None means never.
        receiver: of the durable stream it belongs to; None for a live one.
        telemetry: what came with it.
    """

    frame: MainFrame
    connection: Connection
    facts: SessionFacts
    received_ns: int
    due_ns: int | None = None
    receiver: Receiver[Received] | None = None
    telemetry: tuple[Telemetry, ...] = ()

    @property
    def durable(self) -> bool:
        """Tell whether it must not be lost."""
        return self.receiver is not None

    def queue_ms(self, outcome: Outcome) -> float:
        """Return how long it waited for its decoding."""
        return max(outcome.started_ns - self.received_ns, 0) / 1e6

    def failed(self, error: MdicError, outcome: Outcome) -> Ack:
        """Return the answer to a frame that does not decode; the vehicle's own numbers are filled in later."""
        return Ack(0, Status.FAILED, queue_ms=self.queue_ms(outcome), detail=told_to_peer(error))

    def sink_frame(
        self, vehicle: str, session: str, paired: Paired[Received] | None, state: SideState, outcome: Outcome
    ) -> SinkFrame:
        """Return what the sinks keep: without a picture where there is no result, and then its bitstream alone.

        Args:
            vehicle: whose it is.
            session: which one.
            paired: with its side view; None where the sink has the frame already and only compares.
            state: what became of the side view.
            outcome: of decoding.
        """
        result = outcome.result
        side = None if paired is None else paired.side
        trust = None
        if result is not None and result.mask is not None and side is not None:
            trust = float(np.mean(result.mask[::_TRUST_STEP, ::_TRUST_STEP]))
        return SinkFrame(
            vehicle=vehicle,
            session=session,
            seq=self.frame.seq,
            capture_ns=self.frame.capture_ns,
            facts=self.facts,
            packet=self.frame.packet,
            image=None if result is None else result.image,
            side=None if side is None else side.image,
            side_state=state,
            temporal=0.0 if result is None else result.temporal,
            stream=self.connection.hello.stream_id,
            mode=self.connection.hello.mode,
            side_note="" if paired is None else paired.note,
            side_trust=trust,
            side_suspect=trust is not None and trust < SUSPECT_TRUST,
            error="" if outcome.error is None else str(outcome.error),
            telemetry=self.telemetry,
        )
