from __future__ import annotations

import pytest

from edge.ratecontrol.delivery import MOST_IN_FLIGHT, DeliveryMeter
from edge.ratecontrol.signals import Feedback

MS = 1_000_000


def test_sent_and_acknowledged() -> None:
    meter = DeliveryMeter()
    meter.sent(0, 7, 1000)
    meter.sent(100 * MS, 8, 500)
    assert (meter.count, meter.bytes_in_flight, meter.oldest_ms(150 * MS)) == (2, 1500, 150)
    assert meter.acked(160 * MS, 7, 10.0) == Feedback(0, 160 * MS, 1000, 10.0)
    assert (meter.count, meter.bytes_in_flight, meter.oldest_ms(200 * MS)) == (1, 500, 100)


@pytest.mark.parametrize("seq", [8, -1])
def test_an_ack_of_nothing_we_know_is_ignored(seq: int) -> None:
    meter = DeliveryMeter()
    meter.sent(0, 7, 1000)
    assert meter.acked(5 * MS, seq) is None
    assert meter.count == 1


def test_goodput_is_of_the_last_second() -> None:
    meter = DeliveryMeter()
    for seq in range(30):
        meter.sent(100 * seq * MS, seq, 2000)
        meter.acked((100 * seq + 20) * MS, seq)
    assert meter.goodput(2920 * MS) == pytest.approx(20_000, rel=0.11)
    assert meter.goodput(9000 * MS) == 0


def test_frames_on_an_idle_link_say_nothing_of_its_capacity() -> None:
    meter = DeliveryMeter()
    for seq in range(10):
        meter.sent(100 * seq * MS, seq, 2000)
        meter.acked((100 * seq + 20) * MS, seq)
        assert meter.train_rate is None


def test_a_train_shows_the_capacity() -> None:
    meter = DeliveryMeter()
    for seq in range(6):
        meter.sent(0, seq, 3000)
    for seq in range(6):  # 3000 bytes each 50 ms
        meter.acked((100 + 50 * seq) * MS, seq)
    assert meter.train_rate == pytest.approx(60_000)


def test_acks_in_one_moment_make_no_endless_rate() -> None:
    meter = DeliveryMeter()
    for seq in range(3):
        meter.sent(0, seq, 1000)
    for seq in range(3):
        meter.acked(100 * MS, seq)
    assert meter.train_rate == pytest.approx(2000 / 0.01)


def test_a_number_sent_again_starts_anew() -> None:
    meter = DeliveryMeter()
    meter.sent(0, 7, 1000)
    meter.sent(500 * MS, 7, 1200)
    assert (meter.count, meter.bytes_in_flight, meter.oldest_ms(600 * MS)) == (1, 1200, 100)


def test_what_is_under_way_is_bounded() -> None:
    meter = DeliveryMeter()
    for seq in range(MOST_IN_FLIGHT + 100):
        meter.sent(seq, seq, 10)
    assert meter.count == MOST_IN_FLIGHT
    assert meter.bytes_in_flight == 10 * MOST_IN_FLIGHT


def test_forget() -> None:
    meter = DeliveryMeter()
    meter.sent(0, 7, 1000)
    meter.forget()
    assert (meter.count, meter.bytes_in_flight, meter.oldest_ms(9 * MS)) == (0, 0, 0)
