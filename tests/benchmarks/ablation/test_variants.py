"""Which models are compared: each differs from the full one in what its name says, and can be built."""

import dataclasses

import pytest
import torch

from benchmarks.ablation.variants import ENTROPY, FULL, GROUPS, METHOD
from cloud.models.codec import Codec
from cloud.training.config import TrainConfig
from common.errors import UsageError

BASE = TrainConfig()


def changed(config, reference):
    pairs = ((config.model, reference.model), (config, reference))
    names = {
        f.name for a, b in pairs for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)
    }
    return names - {"model"}


def test_each_variant_changes_what_it_says():
    full = METHOD.pick(["full"])[0].config(BASE, FULL)
    assert all(getattr(full.model, name) == value for name, value in FULL.items())
    found = {v.name: changed(v.config(BASE, METHOD.whole), full) for v in METHOD.variants}
    assert found["full"] == set()
    assert found["no-text-supervision"] == {"text_supervision"} and found["no-text"] == {"text"}
    assert found["no-side"] == {"drop_side"} and found["no-mask"] == {"mask"}
    assert found["no-skips"] == {"skips"} and found["global-attention"] == {"attention"}
    assert found["no-feedback"] == {"feedback"} and found["no-search"] == {"search"}
    assert {"entropy", "attention", "skips", "warp", "start", "steps"} <= found["paper"]
    assert [v.name for v in METHOD.variants if not v.side] == ["no-side"]


def test_entropy_models_differ_in_nothing_else():
    reference = ENTROPY.pick(["c"])[0].config(BASE, ENTROPY.whole)
    for variant in ENTROPY.variants:
        assert changed(variant.config(BASE, ENTROPY.whole), reference) <= {"entropy"}


@pytest.mark.parametrize("group", GROUPS.values(), ids=lambda g: g.name)
def test_every_variant_trains_the_encoder(group):
    """Rate and distortion both reach the edge's network, whatever quantises and codes (the reference: neither)."""
    small = dataclasses.replace(
        BASE.model, latent_channels=8, hyper_channels=2, diffusion_channels=8, diffusion_width=32
    )
    base = dataclasses.replace(BASE, model=small)
    for variant in group.variants:
        torch.manual_seed(0)
        config = variant.config(base, group.whole)
        model = Codec(config.model).train()
        with torch.no_grad():
            for parameter in model.parameters():  # heads that start at zero hide what is behind them
                if float(parameter.abs().max()) == 0:
                    parameter.normal_(0, 0.02)
            model.latent.basis.normal_(0, 0.1)
            model.analysis.log_gain.add_(2.0)
        main, side = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
        noise = torch.randn(1, 8, 8, 8)
        decoded, bits = model(main, side, torch.tensor([1.0]), torch.tensor([7]), noise)
        head = model.analysis.head.weight
        for term in (bits.sum(), decoded.blend.image.square().mean()):
            (gradient,) = torch.autograd.grad(term, head, retain_graph=True)
            assert float(gradient.abs().max()) > 0, variant.name


def test_picking():
    assert [v.name for v in ENTROPY.pick(["a", "d"])] == ["vq-causal", "hyperprior", "checkerboard"]
    assert METHOD.pick(None) == METHOD.variants
    with pytest.raises(UsageError, match="no-such"):
        METHOD.pick(["full", "no-such"])
    with pytest.raises(UsageError, match="nothing"):
        METHOD.pick([])
