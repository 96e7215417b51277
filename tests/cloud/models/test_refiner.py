"""cloud.models.refiner: a projection never does harm, and what the network paints stays in the intervals."""

import numpy as np
import pytest
import torch

from cloud.models.refiner import MARGIN, SHARE, Projection, Refiner, intervals, smooth
from common.entropy.refinement import Refinement


def picture(seed: int, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 8, 12, generator=generator)
    return torch.nn.functional.interpolate(coarse, scale_factor=8.0, mode="bicubic").clamp(0, 1) * 2 - 1


def told(truth: torch.Tensor, step: float, sent: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (low, high, steps): each coefficient of the truth to within a step, `sent` frequencies of 256."""
    found = Projection().coefficients(truth)
    steps = torch.zeros(len(truth), 256, 1, 1)
    steps[:, :sent] = step
    low = torch.where(steps > 0, found - 0.3 * step, torch.full_like(found, -torch.inf))
    high = torch.where(steps > 0, found + 0.7 * step, torch.full_like(found, torch.inf))
    return low, high, steps


@pytest.mark.parametrize("margin", [0.0, MARGIN])
@pytest.mark.parametrize("step", [0.05, 0.5])
def test_the_error_becomes_smaller(step, margin):
    truth, guess = picture(0), picture(1)
    low, high, steps = told(truth, step)
    nearer = Projection()(guess, low, high, steps, margin)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    before, after = (((x - truth) * weights).sum(1).square().mean() for x in (guess, nearer))
    assert float(after) < 0.8 * float(before)


def test_it_is_a_projection():
    truth, guess = picture(0), picture(1)
    low, high, steps = told(truth, 0.3)
    project = Projection()
    once = project(guess, low, high, steps)
    torch.testing.assert_close(project(once, low, high, steps), once, atol=1e-4, rtol=0)
    torch.testing.assert_close(project(truth, low, high, steps), truth)
    differences = once - guess  # luma alone moves
    torch.testing.assert_close(differences[:, 0], differences[:, 2], atol=1e-5, rtol=0)


def test_nothing_sent_changes_nothing():
    guess = picture(1)
    low, high, steps = told(picture(0), 0.3, sent=0)
    torch.testing.assert_close(Projection()(guess, low, high, steps, MARGIN), guess)


def test_a_network_of_any_weights_stays_in_the_intervals():
    torch.manual_seed(0)
    refiner = Refiner(8, 8)
    with torch.no_grad():
        for weight in refiner.parameters():
            weight.normal_(0, 0.1)
    truth, guess = picture(0), picture(1)
    low, high, steps = told(truth, 0.4)
    views = (guess, picture(2), torch.rand(2, 1, 64, 96))
    out = refiner(*views, low, high, steps, share=1.0)
    shipped = refiner(*views, low, high, steps)
    whole = smooth(out - guess)
    torch.testing.assert_close(shipped, guess + whole + SHARE * (out - guess - whole))
    each = refiner(*views, low, high, steps, share=torch.tensor([1.0, SHARE]).view(-1, 1, 1, 1))
    torch.testing.assert_close(each, torch.stack([out[0], shipped[1]]), atol=1e-5, rtol=0)
    assert out.shape == guess.shape and not torch.allclose(out, guess, atol=0.05)
    found = refiner.projection.coefficients(out)
    assert bool(((found >= low - 1e-3) & (found <= high + 1e-3)).all())


def test_intervals_of_refinements_line_up_with_the_coefficients():
    rng = np.random.default_rng(0)
    steps = rng.random((16, 16)).astype(np.float32) + 0.1
    steps[3, 5] = 0
    levels = rng.integers(-2, 3, (4, 6, 16, 16)).astype(np.int32)
    refinement = Refinement(levels, steps, np.full((4, 6), 7.5, np.float32))
    low, high, found = intervals([refinement, refinement], torch.device("cpu"))
    assert low.shape == high.shape == (2, 256, 4, 6) and found.shape == (2, 256, 1, 1)
    bounds = refinement.bounds()
    at = 16 * 2 + 9
    np.testing.assert_array_equal(low[1, at].numpy(), bounds[0][:, :, 2, 9])
    np.testing.assert_array_equal(high[0, 0].numpy(), bounds[1][:, :, 0, 0])
    assert float(found[0, 16 * 3 + 5]) == 0 and bool(torch.isinf(low[:, 16 * 3 + 5]).all())


def test_smooth_keeps_what_is_broad_and_takes_away_what_is_fine():
    flat = torch.full((1, 3, 64, 96), 0.3)
    torch.testing.assert_close(smooth(flat), flat)
    x = torch.arange(256.0).view(1, 1, 1, -1).expand(1, 1, 64, 256)
    broad, fine = (torch.sin(2 * torch.pi * x / length) for length in (256, 16))
    assert float(smooth(broad).abs().max()) > 0.8
    assert float(smooth(fine)[..., 48:-48].abs().max()) < 0.01
