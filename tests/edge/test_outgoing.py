from __future__ import annotations

from common.stream.messages import MainFrame
from edge.outgoing import Dispatch, Outgoing


def test_payloads_stay_out_of_logs() -> None:
    frame = MainFrame(1, 2, b"secret street")
    assert "secret" not in repr(Outgoing(0, frame, None)) + repr(Dispatch((frame,)))
    assert Dispatch((frame,)).taken_ns is None and not Dispatch((frame,)).again
