"""Judging a variant: real packets, decoded again; the side view and the steps as the variant says."""

import numpy as np
import pytest
import torch

from benchmarks.ablation import judge as module
from benchmarks.ablation.judge import Setting, Subject, evaluate
from benchmarks.rd.metrics import Judge
from benchmarks.rd.protocol import Sample
from cloud.models.codec import Codec, ModelConfig
from cloud.text.captioner import FixedCaptioner
from common.errors import CorruptPayload


def sample(side=True):
    rng = np.random.default_rng(0)
    main, other = rng.integers(0, 256, (2, 70, 120, 3), dtype=np.uint8)
    return Sample("one", main, other if side else None, 0, main, other)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"latent_channels": 8, "hyper_channels": 2, "diffusion_channels": 8, "diffusion_width": 32}
    net = Codec(ModelConfig(**sizes, entropy="fsq", text=True)).eval().requires_grad_(False)
    net.analysis.log_gain.add_(3.0)
    net.latent.basis.normal_(0, 0.1)
    for parameter in net.parameters():
        if float(parameter.abs().max()) == 0:
            parameter.normal_(0, 0.02)
    return net


def pictures(model, captioner=None, side=True, steps=1):
    coded = Subject(model, Setting((7,), side, steps, "cpu"), captioner).code(sample())
    return coded[0][1]


def test_rows_carry_real_bytes_and_metrics(model):
    subject, done = Subject(model, Setting((0, 7), True, 1, "cpu"), None), []
    rows = evaluate(subject, [sample()], (0, 7), Judge(("psnr",)), done.append)
    assert [row["quality"] for row in rows] == [0, 7] and done == [1]
    for row in rows:
        assert row["bytes"] == row["payload_bytes"] + 3
        assert row["bpp"] == pytest.approx(row["bytes"] * 8 / (70 * 120))
        assert row["payload_bytes"] * 8 >= row["information_bits"] - 17 and row["psnr"] > 0


def test_pictures_are_repeatable_and_depend_on_side_text_and_steps(model):
    plain = pictures(model)
    assert plain.shape == (70, 120, 3) and np.array_equal(plain, pictures(model))
    assert not np.array_equal(plain, pictures(model, side=False))
    assert not np.array_equal(plain, pictures(model, steps=3))
    assert not np.array_equal(plain, pictures(model, FixedCaptioner("car, road, tree")))


def test_a_decoder_that_disagrees_is_no_result(model, monkeypatch):
    class Careless:
        def __init__(self, coder):
            self.coder = coder

        def encode(self, *arguments):
            return self.coder.encode(*arguments)

        def decode(self, *arguments):
            return self.coder.decode(*arguments) + 1

    real = module.coder_for
    monkeypatch.setattr(module, "coder_for", lambda m: Careless(real(m)))
    with pytest.raises(CorruptPayload, match="one, quality 7"):
        pictures(model)
