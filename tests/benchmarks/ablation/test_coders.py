"""Bytes of every entropy model: they give the latents back, and weigh what the integer tables promise."""

import math

import numpy as np
import pytest
import torch

from benchmarks.ablation.coders import coder_for
from cloud.models.codec import Codec, ModelConfig
from common.entropy.latents import LatentCodec

KINDS = ("hyperprior", "checkerboard", "vq", "fsq")


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    torch.manual_seed(0)
    net = Codec(ModelConfig(latent_channels=8, hyper_channels=2, entropy=request.param)).eval()
    tokens = request.param in ("vq", "fsq")
    prior, size = (net.tokens, 0.1) if tokens else (net.hyperprior, 0.01)
    with torch.no_grad():  # an untrained prior is flat, and would hide a decoder that takes another table
        for name, parameter in prior.named_parameters():
            if "w4" not in name:
                parameter.add_(size * torch.randn_like(parameter))
    return net


def latents(model, seed=0, scale=3.0):
    rng = np.random.default_rng(seed)
    y = (scale * rng.laplace(size=(8, 8, 12))).astype(np.float32)
    return y, (4 * rng.normal(size=(2, 2, 3))).astype(np.float32)


@pytest.mark.parametrize("quality", [0, 4, 7])
def test_bytes_give_the_latents_back(model, quality):
    coder = coder_for(model)
    y, z = latents(model)
    coded = coder.encode(y, z, quality)
    assert np.array_equal(coder_for(model).decode(coded.payload, quality, 8, 12), coded.y_hat)
    other = coder.encode(*latents(model, seed=1), quality)
    assert other.payload != coded.payload


def test_bytes_weigh_what_the_tables_promise(model):
    coder = coder_for(model)
    coded = [coder.encode(*latents(model, seed), 7) for seed in range(3)]
    for one in coded:
        assert one.information_bits > 200
        assert one.information_bits / 8 - 2.1 <= len(one.payload) <= one.information_bits / 8 * 1.005 + 2


def test_training_counts_the_same_bits(model):
    """The rate that training minimises is the size of the files, in bits and not in nats."""
    y, z = latents(model)
    coded = coder_for(model).encode(y, z, 7)
    batch, at = torch.from_numpy(y)[None], torch.tensor([7])
    with torch.no_grad():
        if model.config.entropy in ("vq", "fsq"):
            y_hat, bits, _ = model.tokens(batch, at)
        else:
            y_hat, bits = model.hyperprior(batch, torch.from_numpy(z)[None], at, True)
    assert float(bits) == pytest.approx(coded.information_bits, rel=0.04)
    assert abs(float(bits) * math.log(2) / coded.information_bits - 1) > 0.2
    if model.config.entropy in ("vq", "fsq"):
        np.testing.assert_allclose(y_hat[0].numpy(), coded.y_hat, atol=1e-4)


def test_large_values_escape(model):
    if model.config.entropy in ("vq", "fsq"):
        pytest.skip("tokens are bounded: nothing can be too large")
    y, z = latents(model, scale=80.0)
    z[:] = 0
    z[0, 0, 0] = 60  # beyond its table too
    coded = coder_for(model).encode(y, z, 7)
    assert np.array_equal(coder_for(model).decode(coded.payload, 7, 8, 12), coded.y_hat)
    # Where a scale says "surely zero" nothing is sent; everything else arrives, however large.
    right = np.abs(coded.y_hat - y) <= 0.501
    assert right.mean() > 0.5 and np.abs(coded.y_hat[right]).max() > 200


def test_the_present_entropy_model_is_coded_as_the_product_does(tmp_path):
    from cloud.export import entropy_arrays

    torch.manual_seed(1)
    model = Codec(ModelConfig(latent_channels=8, hyper_channels=2)).eval()
    y, z = latents(model)
    assert (
        coder_for(model).encode(y, z, 3).payload == LatentCodec(entropy_arrays(model)).encode(y, z, 3).payload
    )
