"""cloud.telemetry: durable records wait for their frame, live ones go on, nothing waits without bound."""

from __future__ import annotations

import pytest

from cloud.telemetry import FRAME_MESSAGES, FrameTelemetry
from cloud.totals import Totals
from common.errors import ProtocolViolation
from common.stream.messages import Hello, Mode, Role, Telemetry


class Sinks:
    """Take what is put, as far as there is room."""

    def __init__(self) -> None:
        self.room, self.put = True, []

    def put_telemetry(self, vehicle: str, stream: bytes, telemetry: Telemetry) -> bool:
        self.put.append((vehicle, stream, telemetry))
        return self.room


LIVE = Hello("car", Role.BOTH, stream_id=b"l" * 16)
DURABLE = Hello("car", Role.BOTH, mode=Mode.DURABLE, stream_id=b"d" * 16)


def message(seq: int, kind: str = "oxts") -> Telemetry:
    return Telemetry(seq, 0, kind, b"49 8")


@pytest.fixture
def parts() -> tuple[FrameTelemetry, Sinks, Totals]:
    sinks, totals = Sinks(), Totals()
    return FrameTelemetry("car", sinks, totals), sinks, totals


def test_live_records_go_to_the_sinks_at_once(parts) -> None:
    telemetry, sinks, totals = parts
    telemetry.take(LIVE, message(3))
    assert sinks.put == [("car", LIVE.stream_id, message(3))] and telemetry.of_frame(3) == ()
    sinks.room = False
    telemetry.take(LIVE, message(4))
    assert (totals.telemetry, totals.telemetry_lost) == (2, 1)


def test_durable_records_go_with_their_frame_once(parts) -> None:
    telemetry, sinks, totals = parts
    telemetry.take(DURABLE, message(7, "calib"))
    telemetry.take(DURABLE, message(7))
    assert telemetry.of_frame(7) == (message(7, "calib"), message(7))
    assert telemetry.of_frame(7) == () and sinks.put == [] and totals.telemetry_lost == 0


def test_what_belongs_to_no_frame_is_counted_as_lost(parts) -> None:
    telemetry, _, totals = parts
    telemetry.take(DURABLE, message(6))
    telemetry.take(DURABLE, message(8))
    assert telemetry.of_frame(8) == (message(8),) and totals.telemetry_lost == 1


def test_a_new_connection_begins_with_nothing(parts) -> None:
    telemetry, _, totals = parts
    telemetry.take(DURABLE, message(6))
    telemetry.clear()
    assert telemetry.of_frame(6) == () and totals.telemetry_lost == 0


def test_a_frame_has_only_so_many(parts) -> None:
    telemetry, _, _ = parts
    for _ in range(FRAME_MESSAGES):
        telemetry.take(DURABLE, message(1))
    with pytest.raises(ProtocolViolation, match="telemetry"):
        telemetry.take(DURABLE, message(1))
    assert len(telemetry.of_frame(1)) == FRAME_MESSAGES
