"""cloud.models.hyperprior: the training path is the same integers as common.entropy.hyper."""

import numpy as np
import pytest
import torch

from cloud.models.hyperprior import HyperDecoder, Hyperprior, laplace_bits, scale_of
from common.entropy.hyper import HyperDecoder as IntegerHyperDecoder


def random_decoder() -> HyperDecoder:
    torch.manual_seed(1)
    net = HyperDecoder(6, 3, 8, hidden=8)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    return net


@pytest.mark.parametrize("quality", [0, 7])
def test_training_and_normative_integers_agree_exactly(quality):
    net = random_decoder()
    arrays = {
        name: value.detach().numpy().astype(np.int8 if name[0] == "w" else np.int32)
        for name, value in net.integers().items()
    }
    z = np.random.default_rng(2).integers(-40, 41, (3, 4, 5))
    mean_q, index = IntegerHyperDecoder(arrays).run(z, quality)
    with torch.no_grad():
        mean, scale = net(torch.from_numpy(z).float()[None], torch.tensor([quality]))
    np.testing.assert_array_equal(mean[0].numpy() * 16, mean_q)
    np.testing.assert_array_equal(scale[0].numpy(), index)
    assert len(np.unique(index)) > 3, "a constant would prove nothing"


def test_autocast_does_not_touch_the_integers():
    net = random_decoder()
    z = torch.randint(-20, 21, (1, 3, 4, 4)).float()
    with torch.no_grad():
        plain = net(z, torch.tensor([3]))
        with torch.autocast("cpu", torch.bfloat16):
            cast = net(z, torch.tensor([3]))
    assert torch.equal(plain[0], cast[0]) and torch.equal(plain[1], cast[1])


@pytest.mark.parametrize("b", [0.06, 0.5, 3.0, 40.0])
def test_laplace_bits_are_a_distribution(b):
    values = torch.arange(-4000, 4001).float()
    p = torch.exp2(-laplace_bits(values, torch.tensor(b)))
    assert float(p.sum()) == pytest.approx(1, abs=1e-3)
    assert float(p[4000]) == pytest.approx(1 - np.exp(-0.5 / b), rel=1e-4)


def test_far_outliers_keep_a_finite_gradient():
    residual = torch.tensor([5000.0], requires_grad=True)
    laplace_bits(residual, torch.tensor([0.05])).sum().backward()
    assert torch.isfinite(residual.grad).all() and residual.grad.abs() > 0


def test_gradients_reach_the_encoder_through_the_rate():
    """The paper's released code never trains its encoder on the rate (docs/method.md)."""
    torch.manual_seed(0)
    net = Hyperprior(6, 3, 8)
    y = torch.randn(2, 6, 8, 8, requires_grad=True)
    z = torch.randn(2, 3, 2, 2, requires_grad=True)
    y_hat, bits = net(y, z, torch.tensor([1, 6]), hard=False)
    bits.sum().backward()
    assert y.grad.abs().sum() > 0 and z.grad.abs().sum() > 0
    assert y_hat.shape == y.shape and bits.shape == (2,)
    assert all(p.grad is not None for p in net.parameters())


def test_scales_span_from_certain_to_wild():
    assert float(scale_of(torch.tensor(0.0))) < 0.06 and float(scale_of(torch.tensor(63.0))) > 100
