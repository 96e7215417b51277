"""cloud.models.search: the transform of the right warp is the coded one, so the search finds it, untrained."""

import pytest
import torch
import torch.nn.functional as F

from cloud.models.analysis import Analysis
from cloud.models.search import OFFSETS, Search
from cloud.models.warping import warp


@pytest.fixture
def scene():
    torch.manual_seed(0)
    side = F.interpolate(torch.rand(1, 3, 32, 64), scale_factor=4.0, mode="bicubic") * 2 - 1
    analysis = Analysis(8, 2, 8).eval()
    true = torch.full((1, 1, 128, 256), 7.0)
    with torch.no_grad():
        # An untrained transform is faint: a large gain stands in for the trained one's scale.
        y = analysis.transform((warp(side, true) + 1) / 2)
        gain = (4 / y.std()).reshape(1, 1, 1, 1).expand(1, 8, 1, 1)
    return side, analysis.transform, (y * gain).round(), gain, true


@pytest.mark.parametrize("wrong", [-5.0, -2.5, 0.0, 2.5, 5.0])
def test_a_wrong_disparity_is_put_right(scene, wrong):
    side, transform, y_hat, gain, true = scene
    with torch.no_grad():
        found = Search()(side, true + wrong, y_hat, gain, transform)
    inner = found.offset[..., 1:-1, 2:-2]
    assert inner.shape[-1] > 0 and (inner + wrong).abs().mean() < 0.7
    assert found.evidence.shape == (1, 32, 8, 16)


def test_costs_are_least_where_nothing_is_wrong(scene):
    side, transform, y_hat, gain, true = scene
    costs = Search().costs(side, true, y_hat, gain, transform)
    assert costs.shape == (1, len(OFFSETS), 8, 16)
    assert (costs[..., 1:-1, 2:-2].argmin(1) == OFFSETS.index(0.0)).float().mean() > 0.9


def test_evidence_is_no_path_for_gradients_but_its_temperature_learns(scene):
    side, transform, y_hat, gain, true = scene
    search = Search()
    disparity = (true + 1.3).requires_grad_()
    found = search(side, disparity, y_hat, gain, transform)
    found.offset.square().sum().backward()
    assert disparity.grad is None and search.log_temperature.grad.abs() > 0
