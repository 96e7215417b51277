"""What the sinks are given of a frame, and what its vehicle is told, without a server."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_edge import main

from cloud.engine.base import EngineResult
from cloud.pairing import Paired
from cloud.received import SUSPECT_TRUST, Received
from cloud.scheduler import Outcome
from common.bitstream.session import SessionFacts
from common.errors import BitstreamError
from common.stream.messages import Mode, Status
from common.types import SideState

PICTURE = np.zeros((64, 128, 3), np.uint8)


@pytest.fixture
def entry():
    connection = SimpleNamespace(hello=SimpleNamespace(stream_id=b"s" * 16, mode=Mode.LIVE))
    return Received(main(7), connection, SessionFacts(b"b" * 8, 64, 128), received_ns=1_000_000)


def outcome(trust: float | None) -> Outcome:
    mask = None if trust is None else np.full((64, 128), trust, np.float32)
    return Outcome(EngineResult(image=PICTURE, mask=mask), started_ns=4_000_000)


def paired(entry) -> Paired:
    return Paired(entry, SimpleNamespace(image=PICTURE), SideState.EXACT, "a note")


@pytest.mark.parametrize("trust", [SUSPECT_TRUST - 0.1, SUSPECT_TRUST + 0.1])
def test_a_picture_tells_how_far_its_side_view_was_trusted(entry, trust):
    kept = entry.sink_frame("rig", "one", paired(entry), SideState.EXACT, outcome(trust))
    assert (kept.vehicle, kept.session, kept.seq, kept.stream) == ("rig", "one", 7, b"s" * 16)
    assert kept.side_trust == pytest.approx(trust) and kept.side_suspect is (trust < SUSPECT_TRUST)
    assert kept.image is PICTURE and kept.side is PICTURE and kept.side_note == "a note" and kept.error == ""


def test_without_a_side_view_or_a_mask_there_is_no_trust_to_tell(entry):
    alone = Paired(entry, None, SideState.MISSING)
    for pair, result in ((alone, outcome(0.1)), (paired(entry), outcome(None)), (None, outcome(0.1))):
        kept = entry.sink_frame("rig", "one", pair, SideState.MISSING, result)
        assert kept.side_trust is None and kept.side_suspect is False


def test_what_does_not_decode_is_kept_as_its_bitstream_and_says_why(entry):
    broken = Outcome(error=BitstreamError("cut short"), started_ns=4_000_000)
    kept = entry.sink_frame("rig", "one", paired(entry), SideState.EXACT, broken)
    assert kept.image is None and kept.packet == entry.frame.packet and "cut short" in kept.error
    answer = entry.failed(broken.error, broken)
    assert (
        answer.status is Status.FAILED
        and answer.queue_ms == pytest.approx(3.0)
        and "cut short" in answer.detail
    )


def test_a_frame_given_up_before_it_came_waited_for_nothing(entry):
    assert entry.queue_ms(Outcome(dropped="late", started_ns=0)) == 0
    assert not entry.durable
