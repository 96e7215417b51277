from __future__ import annotations

import pytest

from edge.ratecontrol.ladder import PRIOR_BYTES, FrameSizes, Ladder, Rung, rungs

MS = 1_000_000


def ladder(fps: float = 10.0, lowest: int = 0) -> Ladder:
    made = Ladder(FrameSizes(), lowest, 7, 16)
    for number in range(200):
        made.tick(round(number * 1e9 / fps))
    return made


def test_frame_rate_comes_after_quality() -> None:
    assert rungs(0, 2, 8) == (Rung(0, 8), Rung(0, 4), Rung(0, 2), Rung(0), Rung(1), Rung(2))
    assert rungs(5, 5, 1) == (Rung(5),)


def test_the_prior_is_used_before_anything_is_seen() -> None:
    sizes = FrameSizes()
    assert [sizes.expected(quality) for quality in range(8)] == list(PRIOR_BYTES)


@pytest.mark.parametrize("prior", [(1, 2, 3), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_a_prior_of_another_length_or_without_bytes_is_refused(prior: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="8 positive"):
        FrameSizes(prior)


def test_sizes_are_learned_and_carried_over_to_other_qualities() -> None:
    sizes = FrameSizes()
    for _ in range(100):
        sizes.learn(4, 3 * PRIOR_BYTES[4], 3 * PRIOR_BYTES[4])
    assert sizes.expected(4) == pytest.approx(3 * PRIOR_BYTES[4])
    assert sizes.expected(7) == pytest.approx(3 * PRIOR_BYTES[7], rel=0.01)


def test_the_side_view_costs_the_same_at_every_quality() -> None:
    sizes = FrameSizes()
    for _ in range(60):
        sizes.learn(0, 9000 + PRIOR_BYTES[0], PRIOR_BYTES[0])
    assert sizes.expected(7) - sizes.expected(0) == pytest.approx(PRIOR_BYTES[7] - PRIOR_BYTES[0])
    assert sizes.expected(0) == pytest.approx(9000 + PRIOR_BYTES[0])


def test_without_the_packets_part_the_rest_counts_as_side_view() -> None:
    sizes = FrameSizes()
    for _ in range(60):
        sizes.learn(2, 9000)
    assert sizes.expected(2) == pytest.approx(9000)
    assert sizes.expected(3) - sizes.expected(2) == pytest.approx(PRIOR_BYTES[3] - PRIOR_BYTES[2], rel=0.01)


@pytest.mark.parametrize("fps", [2.0, 10.0, 30.0])
def test_the_cameras_rate_is_measured(fps: float) -> None:
    made = ladder(fps)
    assert made.period_s == pytest.approx(1 / fps, rel=0.02)
    assert made.cost(made.index_of(4)) == pytest.approx(PRIOR_BYTES[4] * fps, rel=0.02)


def test_a_stall_hardly_changes_the_measured_rate() -> None:
    made = ladder(10.0)
    made.tick(60_000 * MS)
    assert made.period_s < 0.12


def test_cost_rises_with_the_rung() -> None:
    made = ladder()
    made.sizes.learn(5, 10, 10)  # an odd frame: quality 5 seems cheaper than quality 4
    costs = [made.cost(index) for index in range(made.top + 1)]
    assert costs == sorted(costs)


def test_affordable() -> None:
    made = ladder()
    assert made.affordable(0) == 0
    assert made.rungs[made.affordable(10 * PRIOR_BYTES[4] * 1.05)] == Rung(4)
    assert made.rungs[made.affordable(10 * PRIOR_BYTES[0] / 2.2)] == Rung(0, 4)
    assert made.affordable(1e9) == made.top
    assert made.rungs[made.index_of(3)] == Rung(3)
    assert ladder(lowest=2).index_of(0) == ladder(lowest=2).index_of(2)
