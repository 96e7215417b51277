"""cloud.models.relighting: waves go into their intervals, each plane's error with them, and all else stays."""

import numpy as np
import pytest
import torch

from cloud.models.relighting import MARGIN, relight
from common.entropy.illumination import Illumination
from common.illumination import TO_YCBCR, Wave, illumination, wave

WAVES: list[Wave] = [(p, v, u) for p in range(3) for v, u in ((0, 0), (0, 1), (1, 0), (2, 3))]
SIZES = [(64, 64), (65, 127), (71, 96)]
INVERSE = np.linalg.inv(TO_YCBCR)


def told(
    coefficients: np.ndarray, step: float, waves: list[Wave] = WAVES, shift: float = 0.5
) -> Illumination:
    """Return intervals of one step that hold the coefficients, `shift` of the way from their lower ends."""
    low = coefficients - shift * step
    return Illumination(np.zeros(len(waves), np.int32), waves, low, low + step)


def planes(image: torch.Tensor) -> np.ndarray:
    """Return luma and colour differences (3, H, W) of a picture (3, H, W) in [-1, 1]."""
    return np.einsum("pc,chw->phw", TO_YCBCR, (image.double().numpy() + 1) / 2)


def coefficients(image: torch.Tensor, waves: list[Wave] = WAVES) -> np.ndarray:
    """Return the waves of a float picture (3, H, W)."""
    height, width = image.shape[1:]
    found = planes(image)
    scale = height * width
    return np.array([wave(v, height) @ found[p] @ wave(u, width) / scale for p, v, u in waves])


def smooth(height: int, width: int, seed: int) -> torch.Tensor:
    """Draw a smooth picture (3, H, W) well inside [-1, 1]."""
    coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0] - 0.5


def lit(image: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a picture in another light: an offset, a gradient and a colour cast."""
    height, width = image.shape[1:]
    rng = np.random.default_rng(seed)
    offset, down, across = rng.normal(0, 0.1, (3, 3, 1, 1))
    change = offset + down * np.linspace(-1, 1, height)[:, None] + across * np.linspace(-1, 1, width)
    return image + torch.from_numpy(change).float()


def error(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float((image - truth).square().mean())


@pytest.mark.parametrize("size", SIZES)
def test_nothing_told_leaves_the_picture_alone(size):
    images = torch.stack([smooth(*size, seed) * 4 for seed in range(2)])
    nothing = told(np.empty(0), 0.1, [])
    assert torch.equal(relight(images, [None, nothing]), images)


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_whose_waves_lie_inside_stays(size):
    image = smooth(*size, 1)
    for shift in (0.02, 0.5, 0.98):
        light = told(coefficients(image), 0.02, shift=shift)
        torch.testing.assert_close(relight(image[None], [light])[0], image, rtol=0, atol=1e-7)


def test_the_measure_is_that_of_the_edge():
    image = np.random.default_rng(0).integers(0, 256, (65, 127, 3), np.uint8)
    picture = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1
    np.testing.assert_allclose(coefficients(picture), illumination(image, WAVES), atol=1e-6)
    light = told(illumination(image, WAVES), 1e-4)
    torch.testing.assert_close(relight(picture[None], [light])[0], picture, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0.01, 0.05, 0.2])
def test_each_wave_comes_into_its_interval_and_no_further_than_the_margin(size, step):
    for seed in range(6):
        truth = smooth(*size, seed)
        image, shift = lit(truth, seed), np.random.default_rng(seed).uniform(0, 1, len(WAVES))
        light = told(coefficients(truth), step, shift=shift)
        before, after = coefficients(image), coefficients(relight(image[None], [light])[0])
        below, above = before < light.low, before > light.high
        want = np.where(below, light.low + MARGIN * step, np.where(above, light.high - MARGIN * step, before))
        np.testing.assert_allclose(after, want, atol=1e-6)
        assert (below | above).any() or step == 0.2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("chosen", [WAVES, WAVES[:4], WAVES[5:6], WAVES[::3]])
def test_no_planes_error_grows_by_more_than_the_margins(size, step, chosen):
    for seed in range(6):
        truth = smooth(*size, seed)
        image, shift = lit(truth, seed), np.random.default_rng(seed).uniform(0, 1, len(chosen))
        light = told(coefficients(truth, chosen), step, chosen, shift)
        after = relight(image[None], [light])[0]
        true = coefficients(truth, chosen)
        was = np.abs(coefficients(image, chosen) - true)
        now = np.abs(coefficients(after, chosen) - true)
        assert (now <= np.maximum(was, MARGIN * step) + 1e-6).all()
        change = np.square(planes(after) - planes(truth)).mean((1, 2))
        change -= np.square(planes(image) - planes(truth)).mean((1, 2))
        of = np.array([p for p, _, _ in chosen])
        for plane in range(3):  # what happens to a plane is what happens to its waves
            here = (np.square(now) - np.square(was))[of == plane].sum()
            assert change[plane] == pytest.approx(here, abs=1e-6)
            assert change[plane] <= (of == plane).sum() * (MARGIN * step) ** 2 + 1e-6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(8))
def test_another_light_is_taken_out_of_all_three_colours(size, seed):
    truth = smooth(*size, seed)
    image, step = lit(truth, seed), 0.01
    light = told(coefficients(truth), step, shift=np.random.default_rng(seed).uniform(0, 1, len(WAVES)))
    after = relight(image[None], [light])[0]
    assert error(after, truth) < 0.2 * error(image, truth)


@pytest.mark.parametrize("offset", [-0.3, -0.02, 0.02, 0.3])
@pytest.mark.parametrize("step", [0.01, 0.1])
def test_an_exposure_is_taken_out_to_within_a_step(offset, step):
    truth = smooth(64, 96, 2)
    waves: list[Wave] = [(0, 0, 0)]
    light = told(coefficients(truth, waves), step, waves)
    after = relight((truth + 2 * offset)[None], [light])[0]  # of a range of two
    left = (after - truth) / 2
    assert float(left.std()) < 1e-6 and abs(float(left.mean())) <= min(step / 2, abs(offset)) + 1e-6


def test_luma_moves_all_colours_alike_and_a_colour_difference_leaves_luma():
    image = smooth(64, 64, 3)
    for waves, of in (([(0, 0, 0)], 0), ([(1, 1, 0)], 1), ([(2, 0, 2)], 2)):
        light = told(coefficients(image, waves) + 0.1, 0.01, waves)
        change = (relight(image[None], [light])[0] - image).numpy() / 2
        moved = np.einsum("pc,chw->phw", TO_YCBCR, change)
        for plane in range(3):
            assert np.abs(moved[plane]).max() > 0.05 if plane == of else np.abs(moved[plane]).max() < 1e-6
        if of == 0:
            np.testing.assert_allclose(change, np.full_like(change, 0.1 - 0.005 + MARGIN * 0.01), atol=1e-6)
        shown = INVERSE[:, of] / np.abs(INVERSE[:, of]).max()
        peaks = change.reshape(3, -1)[:, np.abs(change).sum(0).argmax()]
        np.testing.assert_allclose(np.abs(peaks) / np.abs(peaks).max(), np.abs(shown), atol=1e-4)


def test_frames_of_one_batch_are_independent():
    truths = [smooth(64, 96, seed) for seed in range(4)]
    images = torch.stack([lit(truth, seed) for seed, truth in enumerate(truths)])
    few = WAVES[2:5]
    lights = [
        told(coefficients(truths[0]), 0.02),
        None,
        told(coefficients(truths[2], few), 0.01, few),
        told(np.empty(0), 0.1, []),
    ]
    together = relight(images, lights)
    for index, light in enumerate(lights):
        assert torch.equal(together[index], relight(images[index : index + 1], [light])[0])
    assert torch.equal(together[1], images[1]) and torch.equal(together[3], images[3])
    assert not torch.equal(together[0], images[0]) and not torch.equal(together[2], images[2])


def test_a_light_for_each_picture_is_needed():
    with pytest.raises(ValueError):
        relight(torch.zeros(2, 3, 64, 64), [None])
