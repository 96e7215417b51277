"""When a vehicle hears that the cloud is busy."""

from __future__ import annotations

from cloud.hints import BUSY_FRAMES, BUSY_MS, EVERY_NS, HintGate
from common.stream.messages import Hint

S = 1_000_000_000


def test_an_idle_cloud_says_nothing() -> None:
    gate = HintGate(256)
    assert all(gate.hint(n * S, BUSY_FRAMES, BUSY_MS) is None for n in range(5)) and not gate.busy


def test_frames_or_waiting_make_it_busy_and_the_window_small() -> None:
    assert HintGate(256).hint(0, BUSY_FRAMES + 1, 0.0) == Hint(0.0, BUSY_FRAMES + 1, 64)
    assert HintGate(256).hint(0, 1, BUSY_MS + 1) == Hint(BUSY_MS + 1, 1, 64)
    assert HintGate(2).hint(0, 99, 0.0).window == 1


def test_at_most_one_each_200_ms() -> None:
    gate = HintGate(256)
    told = [gate.hint(n * EVERY_NS // 10, 100, 0.0) for n in range(101)]
    assert sum(hint is not None for hint in told) == 11


def test_clearing_is_told_once_and_only_when_it_is_clear() -> None:
    gate = HintGate(256)
    gate.hint(0, 100, 900.0)
    assert gate.hint(1 * S, BUSY_FRAMES, BUSY_MS).window == 64  # less, but not clear
    assert gate.hint(2 * S, BUSY_FRAMES // 2, BUSY_MS / 2) == Hint(BUSY_MS / 2, BUSY_FRAMES // 2, 256)
    assert not gate.busy and gate.hint(3 * S, 1, 1.0) is None
