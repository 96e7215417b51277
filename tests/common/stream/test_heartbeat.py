from __future__ import annotations

import pytest

from common.errors import ProtocolViolation
from common.stream.heartbeat import MOST_OPEN, Heartbeat

S = 1_000_000_000


def test_a_ping_is_due_at_once_and_then_each_second() -> None:
    heart = Heartbeat(10 * S)
    assert heart.due_in_s(10 * S) == 0
    heart.ping(10 * S)
    assert heart.due_in_s(10 * S + S // 4) == 0.75
    assert heart.due_in_s(12 * S) == 0


def test_silence_after_questions_is_a_loss() -> None:
    heart = Heartbeat(0)
    for second in range(20):
        heart.ping(second * S)
        assert not heart.lost(second * S)
    assert heart.lost(20 * S + 1)
    heart.heard(20 * S + 2)
    assert not heart.lost(21 * S)
    assert heart.silence_s(21 * S + 2) == 1


def test_who_did_not_ask_cannot_call_the_other_lost() -> None:
    heart = Heartbeat(0)
    assert not heart.lost(100 * S)  # stopped itself, for example
    heart.ping(100 * S)
    assert not heart.lost(101 * S)
    assert heart.lost(121 * S)


def test_answers_belong_to_pings() -> None:
    heart = Heartbeat(0)
    heart.ping(5)
    assert heart.pong(5)
    assert not heart.pong(5)  # again, late: of no use, and no harm
    with pytest.raises(ProtocolViolation, match="not sent"):
        heart.pong(10 * S)


def test_open_pings_are_bounded() -> None:
    heart = Heartbeat(0)
    for second in range(10 * MOST_OPEN):
        heart.ping(second * S)
    assert len(heart._open) == MOST_OPEN
    assert not heart.pong(3 * S)
