"""cloud.training.finish: what the refiner is told in training is what its packets would tell it."""

import numpy as np
import pytest
import torch

from cloud.models.codec import ModelConfig
from cloud.models.refiner import Refiner, intervals
from cloud.training.finish import Finished, Teller, refinement_tables
from common.bundle import Bundle
from common.entropy.refinement import RefinementCodec
from common.errors import UsageError
from common.luma import coefficients, luma
from common.synthetic import StereoStreet


@pytest.fixture(scope="module")
def tables():
    return refinement_tables(None)


def test_bounds_are_those_of_the_coder(tables):
    facts = Bundle.load(None).codec
    coder = RefinementCodec(tables, facts.latent_channels, facts.qualities, "test")
    rng = np.random.default_rng(0)
    views = [StereoStreet(seed, height=64, width=128).frame(0).main for seed in (1, 2, 3)]
    y16 = rng.integers(-40, 41, (3, facts.latent_channels, 4, 8))
    qualities = [7, 6, 2]
    want = [
        coder.quantise(coefficients(luma(view)), quality, y)
        for view, quality, y in zip(views, qualities[:2], y16, strict=False)
    ]
    lows, highs, steps = intervals(want, torch.device("cpu"))
    planes = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
    truth = Refiner(8, 8).projection.coefficients(planes)
    teller = Teller(tables, facts.latent_channels)
    got = teller(truth, torch.tensor(qualities), torch.from_numpy(y16).float() / 16)
    for mine, theirs in zip(got, (lows, highs, steps), strict=True):
        same = torch.isclose(mine[:2], theirs, atol=2e-4).float().mean()
        assert float(same) > 0.999  # a value on the edge of a step may round the other way
    assert torch.isinf(got[0][2]).all() and torch.isinf(got[1][2]).all()  # quality 2 is told nothing
    assert (truth[:2] >= got[0][:2] - 1e-4).all() and (truth[:2] <= got[1][:2] + 1e-4).all()


def test_a_bundle_without_a_refinement_says_so():
    with pytest.raises(UsageError, match="no refinement"):
        Teller({}, 4)


def test_a_finished_model_holds_a_codec_under_its_own_names():
    config = ModelConfig(latent_channels=4, hyper_channels=2)
    names = set(Finished(config, 8, 16).state_dict())
    assert {name for name in names if name.startswith("refiner.")}
    assert "analysis.head.weight" in names
