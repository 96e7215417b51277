"""The gauge: sums over a picture, finite for any picture, and a guess within bounds."""

from __future__ import annotations

import pytest
import torch

from cloud.restoration.gauge import LEAST, MOST, Gauge, damage, features


def test_damage_is_the_logarithm_of_the_error_in_levels() -> None:
    wanted = torch.full((3, 3, 8, 8), 0.5)
    coded = wanted + torch.tensor([0.0, 1 / 255, 8 / 255]).view(3, 1, 1, 1)
    torch.testing.assert_close(damage(coded, wanted), torch.tensor([LEAST, 0.0, 3.0]), atol=1e-4, rtol=0)


def test_steps_at_the_borders_of_blocks_stand_out_in_their_place_alone() -> None:
    smooth = torch.linspace(0, 1, 64).repeat(64, 1).repeat(1, 3, 1, 1)
    blocks = smooth[..., ::8].repeat_interleave(8, -1)
    before, after = features(smooth)[0], features(blocks)[0]
    # Luma, along rows: seven places inside blocks without a step, the eighth with all of it.
    assert (after[:7] < before[:7] - 3).all() and after[7] > before[7] + 2
    # Down the columns nothing changes.
    half = before.numel() // 6
    torch.testing.assert_close(after[half : 2 * half], before[half : 2 * half])


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (375, 1242)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_and_odd_pictures_have_finite_sums(size: tuple[int, int], level: float) -> None:
    found = features(torch.full((2, 3, *size), level))
    assert found.shape == (2, 84) and found.isfinite().all()


def test_guesses_stay_within_bounds_one_by_one() -> None:
    gauge = Gauge()
    with torch.no_grad():
        gauge.body[-1].weight.mul_(1000)
        images = torch.rand(3, 3, 40, 64)
        together, alone = gauge(images), gauge(images[1:2])
    assert together.min() >= LEAST and together.max() <= MOST
    torch.testing.assert_close(together[1:2], alone)
