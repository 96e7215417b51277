"""cloud.training.respread: tables over the quality index move to other rate weights."""

import pytest
import torch

from cloud.training.respread import is_per_quality, respread

OLD = [8.0, 4.0, 2.0, 1.0]


def test_the_same_weights_change_nothing():
    table = torch.randn(4, 3)
    assert torch.allclose(respread(table, "analysis.log_gain", OLD, OLD), table, atol=1e-6)


def test_gains_go_on_along_their_slope_and_others_stay():
    table = torch.arange(4.0)[:, None].repeat(1, 2)
    new = [16.0, 8.0, 2.0, 0.5]
    gains = respread(table, "analysis.log_gain", OLD, new)
    assert torch.allclose(gains[:, 0], torch.tensor([-1.0, 0.0, 2.0, 4.0]))
    others = respread(table, "geometry.quality", OLD, new)
    assert torch.allclose(others[:, 0], torch.tensor([0.0, 0.0, 2.0, 3.0]))


def test_wrong_counts_and_rising_weights_are_refused():
    with pytest.raises(ValueError, match="4 rows"):
        respread(torch.zeros(4, 1), "log_gain", OLD, [1.0])
    with pytest.raises(ValueError, match="fall"):
        respread(torch.zeros(4, 1), "log_gain", OLD[::-1], OLD)


def test_per_quality_names():
    assert is_per_quality("analysis.log_gain") and is_per_quality("hyperprior.decoder.b4")
    assert not is_per_quality("geometry.enter.weight")
