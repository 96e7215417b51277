from __future__ import annotations

import pytest

from common.errors import ProtocolViolation
from common.stream.messages import Ack, Hint, Mode, Status, Welcome
from common.stream.sender import READY_FRAMES, Sender, SenderState, Settled


def opened(mode: Mode = Mode.DURABLE, window: int = 4, **changes) -> Sender:
    settings = {"base": 0} if mode is Mode.DURABLE else {}
    sender = Sender(mode, **(settings | changes))
    sender.greet()
    sender.connected(Welcome("s", window))
    return sender


def send(sender: Sender, *numbers: int) -> None:
    for number in numbers:
        sender.offer(number)
    while (number := sender.next()) is not None:
        sender.sent(number, number)


def ack(seq: int, status: Status = Status.DECODED, cumulative: int = 0) -> Ack:
    return Ack(seq, status, cumulative=cumulative)


def reopen(sender: Sender, **welcome) -> Settled:
    sender.disconnected()
    sender.greet()
    return sender.connected(Welcome("s", 4, **welcome))


def test_a_whole_life() -> None:
    sender = opened()
    send(sender, 0, 1, 2)
    assert sender.in_flight == 3 and not sender.ready
    assert sender.acked(ack(1)).kept == (1,)
    assert sender.acked(ack(0, cumulative=2)) == Settled(kept=(0,), below=2)
    assert not sender.may_end
    sender.end()
    assert sender.may_end
    sender.ended()
    assert sender.state is SenderState.DRAINING and not sender.credit
    sender.acked(ack(2))
    sender.goodbye()
    assert sender.state is SenderState.CLOSED
    sender.greet()  # more came afterwards
    assert sender.state is SenderState.GREETING


def test_nothing_goes_beyond_the_window_or_before_the_welcome() -> None:
    sender = Sender(Mode.DURABLE, base=0)
    sender.offer(0)
    assert sender.next() is None
    sender.greet()
    assert sender.next() is None
    sender.connected(Welcome("s", 2))
    send(sender, 1, 2, 3)
    assert (sender.in_flight, sender.ready, sender.window_full) == (2, 2, True)
    sender.acked(ack(0))
    assert sender.next() == 2
    sender.hinted(Hint(10.0, 5, 1))
    assert sender.next() is None
    sender.hinted(Hint(0.0, 0, 9))
    send(sender)
    assert sender.in_flight == 3


def test_live_may_ignore_the_window() -> None:
    sender = opened(Mode.LIVE, window=1, wait=False)
    send(sender, 0, 1, 2)
    assert sender.in_flight == 3


def test_what_a_cut_left_open_is_sent_again_in_order() -> None:
    sender = opened()
    send(sender, 0, 1, 2, 3, 4, 5)
    sender.acked(ack(1))
    assert sender.disconnected() == ()
    assert sender.state is SenderState.IDLE and sender.ready == 5
    sender.greet()
    settled = sender.connected(Welcome("s", 9, next_seq=1, held=((3, 3),)))
    assert settled == Settled(kept=(0, 3), below=1, ranges=((3, 3),))
    send(sender)
    assert list(sender._in_flight) == [2, 4, 5]


def test_live_frames_in_flight_are_lost_with_the_connection() -> None:
    sender = opened(Mode.LIVE)
    send(sender, 0, 1)
    sender.acked(ack(0))
    assert sender.disconnected() == (1,)
    assert not sender.in_flight and not sender.ready


def test_a_frame_that_was_not_kept_needs_another_connection() -> None:
    sender = opened()
    send(sender, 0, 1, 2, 3, 4)
    assert sender.acked(ack(1, Status.UNKEPT)) == Settled()
    assert sender.wants_reconnect and sender.next() is None
    sender.end()
    assert not sender.may_end
    assert sender.acked(ack(0)).kept == (0,)  # others still count
    reopen(sender)
    assert not sender.wants_reconnect
    send(sender)
    assert list(sender._in_flight) == [1, 2, 3, 4]


def test_durable_drop_is_sent_again_too() -> None:
    sender = opened()
    send(sender, 0)
    sender.acked(ack(0, Status.DROPPED))
    assert sender.wants_reconnect and sender.ready == 1


def test_failed_frames_are_settled() -> None:
    sender = opened()
    send(sender, 0, 1)
    assert sender.acked(ack(0, Status.FAILED)) == Settled(failed=(0,))
    assert sender.in_flight == 1


def test_durable_acks_may_come_twice_or_from_before() -> None:
    sender = opened()
    send(sender, 0, 1)
    sender.acked(ack(0))
    assert sender.acked(ack(0)) == Settled()
    reopen(sender, next_seq=1)
    # Sent on the old connection, settled there, told on this one, before it is sent again.
    assert sender.acked(ack(1)).kept == (1,)
    assert not sender.ready
    assert sender.acked(ack(1, Status.UNKEPT)) == Settled() and not sender.wants_reconnect


@pytest.mark.parametrize(
    "impossible", [ack(2), ack(1 << 40), ack(0, cumulative=3), ack(0, Status.FAILED, cumulative=1 << 50)]
)
def test_acks_of_what_was_never_sent_are_violations(impossible: Ack) -> None:
    sender = opened()
    send(sender, 0, 1)
    sender.hinted(Hint(0.0, 0, 2))
    sender.offer(2)  # offered is not sent
    with pytest.raises(ProtocolViolation, match="not sent"):
        sender.acked(impossible)


def test_live_acks_are_exact() -> None:
    sender = opened(Mode.LIVE)
    send(sender, 0)
    assert sender.acked(ack(0, Status.DROPPED)) == Settled(dropped=(0,))
    with pytest.raises(ProtocolViolation, match="settled already"):
        sender.acked(ack(0))


def test_an_earlier_process_may_have_sent_anything_below() -> None:
    sender = opened(free=10)
    assert sender.acked(ack(7, cumulative=8)) == Settled(below=8)
    with pytest.raises(ProtocolViolation):
        sender.acked(ack(10))


@pytest.mark.parametrize("welcome", [{"next_seq": 11}, {"held": ((3, 10),)}, {"held": ((1 << 40, 1 << 41),)}])
def test_a_cloud_cannot_hold_what_was_never_sent(welcome) -> None:
    sender = Sender(Mode.DURABLE, base=0, free=10)
    sender.greet()
    with pytest.raises(ProtocolViolation, match="never sent"):
        sender.connected(Welcome("s", 4, **welcome))


def test_base_is_taken_once_and_moves_up_only_while_nothing_is_held() -> None:
    sender = Sender(Mode.DURABLE)
    sender.greet()
    sender.connected(Welcome("s", 4, base_seq=500))
    assert sender.base == 500 and sender.wire(3) == 503
    send(sender, 0, 1)
    assert sender.acked(ack(500)).kept == (0,)
    with pytest.raises(ProtocolViolation):
        sender.acked(ack(499))
    # The sink was emptied, and another recording has begun in it: nothing may be overwritten.
    sender.disconnected()
    sender.greet()
    sender.connected(Welcome("s", 4, base_seq=900), oldest=1)
    assert sender.wire(1) == 900
    reopen(sender, base_seq=3)
    assert sender.base == 899
    assert reopen(sender, next_seq=901).kept == (1,)


def test_unknown_base_with_frames_held_is_a_violation() -> None:
    sender = Sender(Mode.DURABLE)
    sender.greet()
    with pytest.raises(ProtocolViolation, match="never used"):
        sender.connected(Welcome("s", 4, next_seq=5))


def test_goodbye_has_its_place() -> None:
    sender = opened()
    with pytest.raises(ProtocolViolation, match="before the end"):
        sender.goodbye()
    send(sender, 0)
    sender.end()
    sender.ended()
    with pytest.raises(ProtocolViolation, match="1 frames unsettled"):
        sender.goodbye()


def test_welcome_has_its_place() -> None:
    sender = opened()
    with pytest.raises(ProtocolViolation, match="second welcome"):
        sender.connected(Welcome("s", 4))
    other = Sender(Mode.LIVE)
    other.greet()
    with pytest.raises(ProtocolViolation, match="wire version 9"):
        other.connected(Welcome("s", 4, 9))
    with pytest.raises(ProtocolViolation, match="before the welcome"):
        other.acked(ack(0))


def test_misuse_is_refused() -> None:
    sender = opened()
    sender.offer(3)
    for wrong in (lambda: sender.offer(3), lambda: sender.sent(4, 0), sender.greet):
        with pytest.raises(ValueError):
            wrong()
    send(sender)
    with pytest.raises(ValueError, match="in flight"):
        sender.withdraw()


def test_numbers_held_are_bounded() -> None:
    sender = Sender(Mode.DURABLE, base=0)
    for number in range(READY_FRAMES):
        assert sender.room
        sender.offer(number)
    assert not sender.room
    with pytest.raises(ValueError, match="room"):
        sender.offer(READY_FRAMES)


def test_withdrawn_frames_are_offered_anew() -> None:
    sender = opened()
    for number in (5, 6):
        sender.offer(number)
    sender.withdraw(5)
    assert sender.next() == 6
    sender.withdraw()
    send(sender, 2)
    assert list(sender._in_flight) == [2] and sender.oldest_sent_ns == 2
