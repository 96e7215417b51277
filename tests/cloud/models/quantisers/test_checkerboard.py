"""cloud.models.quantisers.checkerboard: anchors help the rest, never themselves; it begins as the hyperprior."""

import pytest
import torch

from cloud.models.hyperprior import Hyperprior
from cloud.models.quantisers.checkerboard import CheckerboardHyperprior, anchors


@pytest.fixture
def prior():
    torch.manual_seed(0)
    net = CheckerboardHyperprior(4, 2, 8)
    with torch.no_grad():
        net.correct.weight.normal_(0, 0.2)
    return net


def test_it_begins_as_the_hyperprior():
    torch.manual_seed(0)
    net = CheckerboardHyperprior(4, 2, 8)
    plain = Hyperprior(4, 2, 8)
    plain.load_state_dict({n: v for n, v in net.state_dict().items() if n in plain.state_dict()})
    y, z, quality = 3 * torch.randn(2, 4, 8, 8), torch.randn(2, 2, 2, 2), torch.tensor([0, 7])
    with torch.no_grad():
        for mine, theirs in zip(net(y, z, quality, True), plain(y, z, quality, True), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_anchors_are_untouched_and_their_neighbours_are_not(prior):
    known = torch.randn(1, 4, 6, 6) * anchors(6, 6)
    mean, index = torch.zeros(1, 4, 6, 6), torch.full((1, 4, 6, 6), 20.0)
    new_mean, new_index = prior.refine(known, mean, index)
    even = anchors(6, 6).expand(4, 6, 6)
    assert (new_mean[0][even] == 0).all() and (new_index[0][even] == 20).all()
    assert (new_mean[0][~even] != 0).any() and (new_index[0][~even] != 20).any()
    assert torch.equal(new_mean * 16, (new_mean * 16).round()), "means are sixteenths"
    assert torch.equal(new_index, new_index.round()), "a table has a whole number"


def test_rate_reaches_the_encoder_and_every_weight(prior):
    y = (3 * torch.randn(2, 4, 8, 8)).requires_grad_(True)
    z = (9 * torch.randn(2, 2, 2, 2)).requires_grad_(True)
    y_hat, bits = prior(y, z, torch.tensor([0, 7]), False)
    (bits.sum() + y_hat.square().sum()).backward()
    assert float(y.grad.abs().max()) > 0 and float(z.grad.abs().max()) > 0
    silent = [n for n, p in prior.named_parameters() if p.grad is None or float(p.grad.abs().max()) == 0]
    assert silent == []


def test_only_anchors_are_looked_at(prior):
    """What the rest is predicted from must not hold the rest: the decoder does not have it yet."""
    torch.manual_seed(3)
    y, z, quality = 3 * torch.randn(1, 4, 8, 8), torch.randn(1, 2, 2, 2), torch.tensor([5])
    odd = ~anchors(8, 8)
    other = y + odd * torch.randint(1, 3, y.shape)  # whole steps: only the residuals change
    with torch.no_grad():
        first, second = prior(y, z, quality, True)[0], prior(other, z, quality, True)[0]
    torch.testing.assert_close(second - first, other - y)
