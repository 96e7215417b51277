"""cloud.training.steps: bits go where the guess is wrong, and the arrays fitted are ones the bitstream takes."""

import numpy as np
import pytest

from cloud.training.steps import STEPS, Example, choose_steps, entropy, fit_arrays, fit_dc, moved, predict_dc
from common.entropy.coder import RangeDecoder, RangeEncoder
from common.entropy.refinement import UNIT, RefinementCodec


def examples(count=12, seed=0, wrong=((1, 2), (4, 0))):
    """Draw pictures whose guess is right but at some frequencies; latents tell the mean."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        y16 = rng.integers(-60, 61, (3, 6, 8))
        true = rng.laplace(0, 0.4, (6, 8, 16, 16)).astype(np.float32)
        true[:, :, 0, 0] = 8 + y16[1] / 16 * 0.5 + rng.normal(0, 0.05, (6, 8))
        guess = true.copy()
        for at in wrong:
            guess[:, :, at[0], at[1]] = rng.laplace(0, 0.4, (6, 8))
        drawn.append(Example(true, guess, y16))
    return drawn


def test_the_mean_is_predicted_from_the_latents():
    some = examples()
    dc = fit_dc(some)
    assert dc.shape == (9 * 3 + 1,)
    errors = [e.true[:, :, 0, 0] - predict_dc(e.y16, dc) / UNIT for e in some]
    assert np.std(np.concatenate(errors)) < 0.07 < np.std([e.true[:, :, 0, 0] for e in some])


def test_only_frequencies_that_are_guessed_wrongly_are_sent():
    some = examples()
    steps = choose_steps(some, fit_dc(some), 1e-3)
    assert steps[1, 2] > 0 and steps[4, 0] > 0 and steps[0, 0] > 0
    assert (steps > 0).sum() == 3


def test_a_higher_price_sends_less():
    some = examples()
    dc = fit_dc(some)
    cheap, dear = (choose_steps(some, dc, price) for price in (1e-3, 3e-2))
    assert 0 < cheap[1, 2] < (dear[1, 2] or STEPS[-1] + 1)


def test_a_mean_that_is_not_worth_its_bits_is_sent_coarsely():
    some = examples()
    dc = fit_dc(some)
    steps = choose_steps(some, dc, 10.0)
    off = np.concatenate([(e.true[..., 0, 0] - predict_dc(e.y16, dc) / UNIT).ravel() for e in some])
    assert entropy(moved(off, off, steps[0, 0] / UNIT)[0]) == 0 < entropy(moved(off, off, STEPS[0] / UNIT)[0])


def test_moving_a_guess_into_its_interval_helps():
    rng = np.random.default_rng(0)
    x, guess = rng.laplace(0, 1, 5000), rng.laplace(0, 1, 5000)
    k, after = moved(x, guess, 0.8)
    assert np.square(after - x).mean() < 0.5 * np.square(guess - x).mean()
    assert 0.5 < entropy(k) < 3
    assert np.array_equal(moved(x, x, 0.8)[1], x)


def test_fitted_arrays_are_valid_and_worth_their_contexts():
    some = examples(wrong=[(v, u) for v in range(4) for u in range(4)])
    arrays = fit_arrays([some, some], {4: 1e-1, 7: 1e-3}, [0, 1, 2, 3, 3, 5, 6, 6])
    codec = RefinementCodec(arrays, 3, 8, "fitted")
    assert [codec.has(q) for q in (3, 4, 7)] == [False, True, True] and codec.latents(7) == 6
    sizes = {}
    for quality in (4, 7):
        refinement = codec.quantise(some[0].true, quality, some[0].y16)
        encoder = RangeEncoder()
        levels, _ = codec.encode(encoder, refinement.levels, quality)
        payload = encoder.finish()
        got = codec.decode(RangeDecoder(payload), quality, some[0].y16)
        np.testing.assert_array_equal(got.levels, levels)
        sizes[quality] = len(payload)
    assert 10 < sizes[4] < 0.8 * sizes[7]


def test_there_is_nothing_to_fit_without_pictures():
    with pytest.raises(ValueError, match="concatenate"):
        fit_dc([])
