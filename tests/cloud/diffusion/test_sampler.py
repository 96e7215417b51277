"""cloud.diffusion.sampler."""

import numpy as np
import pytest
import torch

from cloud.diffusion.sampler import START_TIMESTEP, frame_noise, make_scheduler, sample

GOLDEN = np.array(
    [1.6962730884552002, -1.2975605726242065, -0.9423807859420776, -0.339583158493042], np.float32
)


def test_noise_is_a_function_of_stream_and_frame():
    a = frame_noise("rig-1", 3, (4, 5))
    assert torch.equal(a, frame_noise("rig-1", 3, (4, 5)))
    assert not torch.equal(a, frame_noise("rig-1", 4, (4, 5)))
    assert not torch.equal(a, frame_noise("rig-2", 3, (4, 5)))
    # The first values are part of what makes old recordings decode as they did.
    assert a.dtype == torch.float32 and abs(float(frame_noise("x", 0, (100, 100)).std()) - 1) < 0.02


def test_noise_is_the_same_on_every_machine():
    got = frame_noise("golden", 0, (4,)).numpy()
    np.testing.assert_array_equal(got, GOLDEN)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10])
def test_sampling_starts_half_way_and_ends_clean(steps):
    asked = []
    target = torch.randn(1, 4, 3, 3)

    def predict(noisy, timestep):
        asked.append(int(timestep[0]))
        return target

    out = sample(predict, torch.zeros_like(target), torch.randn_like(target), steps)
    assert torch.allclose(out, target, atol=1e-5)
    assert asked[0] == START_TIMESTEP and len(asked) == steps and asked == sorted(asked, reverse=True)


def test_the_first_input_is_coarse_plus_noise():
    coarse, noise = torch.full((1, 1, 2, 2), 3.0), torch.ones(1, 1, 2, 2)
    seen = []
    sample(lambda x, t: seen.append(x) or x, coarse, noise, 1)
    keep = float(make_scheduler().alphas_cumprod[START_TIMESTEP])
    assert torch.allclose(seen[0], coarse * keep**0.5 + noise * (1 - keep) ** 0.5)


@pytest.mark.parametrize("steps", [0, 51])
def test_step_counts_out_of_range_are_refused(steps):
    with pytest.raises(ValueError, match=str(steps)):
        sample(lambda x, t: x, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), steps)


def test_from_pure_noise_the_coarse_latent_is_not_looked_at():
    noise, seen = torch.randn(1, 2, 3, 3), []

    def predict(noisy, timestep):
        seen.append((noisy.clone(), int(timestep[0])))
        return torch.ones_like(noisy)

    a = sample(predict, torch.zeros(1, 2, 3, 3), noise, 10, start="noise")
    assert [t for _, t in seen] == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert torch.equal(seen[0][0], noise)
    b = sample(predict, torch.randn(1, 2, 3, 3), noise, 10, start="noise")
    assert torch.equal(a, b) and torch.equal(a, torch.ones_like(noise))
