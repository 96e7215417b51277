"""cloud.training.loop: a run goes, stops, resumes and exports; on synthetic streets and random perceptual weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cloud.export import load_model
from cloud.training.config import parse_config
from cloud.training.data import synthetic_pairs
from cloud.training.loop import Trainer
from cloud.training.losses import AlexDistance

_ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory):
    """AlexNet-shaped weights of our own making: the loop does not care whose they are."""
    folder = tmp_path_factory.mktemp("metric")
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for index, (out, inputs, kernel) in _ALEX.items():
        shape = (out, inputs, kernel, kernel)
        weights[f"features.{index}.weight"] = (
            torch.randn(shape, generator=generator) / (inputs * kernel**2) ** 0.5
        )
        weights[f"features.{index}.bias"] = torch.zeros(out)
    save_file(weights, folder / "alexnet_features_torchvision.safetensors")
    heads = {
        f"lin{i}.model.1.weight": torch.rand(1, out, 1, 1) for i, (out, _, _) in enumerate(_ALEX.values())
    }
    torch.save(heads, folder / "lpips_alex.pth")
    return folder


@pytest.fixture(scope="module")
def pairs():
    return synthetic_pairs(2, height=128, width=256)


def trainer(perceptual, pairs, out):
    config = parse_config(
        {
            "model": {"latent_channels": 4, "hyper_channels": 2},
            "crops": [{"height": 64, "width": 128, "batch": 2, "scale": [0.5, 1.0]}],
            "minutes": 5.0,
        },
        "test",
    )
    return Trainer(config, [], pairs, AlexDistance(perceptual), out, "cpu")


def test_a_run_stops_resumes_and_exports(perceptual, pairs, tmp_path):
    first = trainer(perceptual, pairs, tmp_path)
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    first.run(steps=2)
    moved = [n for n, v in first.model.state_dict().items() if not torch.equal(v, before[n])]
    assert len(moved) > 100
    second = trainer(perceptual, pairs, tmp_path)
    second.resume(tmp_path / "last.safetensors")
    assert second.step == 2 and second.seconds > 0
    state = second.model.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in first.model.state_dict().items())
    second.run(steps=1)
    assert second.step == 3
    model, facts = load_model(tmp_path / "last.safetensors")
    assert facts["step"] == 3
    assert torch.equal(model.analysis.head.weight, second.ema["analysis.head.weight"])


def test_losses_are_finite_and_named(perceptual, pairs, tmp_path):
    parts = trainer(perceptual, pairs, tmp_path).losses()
    assert {"total", "bpp", "lpips", "geometry", "mask"} <= set(parts)
    assert all(np.isfinite(float(v.detach())) for v in parts.values()), json.dumps(
        {k: float(v.detach()) for k, v in parts.items()}
    )


def test_starting_from_weights_begins_a_new_schedule(perceptual, pairs, tmp_path):
    first = trainer(perceptual, pairs, tmp_path)
    first.run(steps=1)
    second = trainer(perceptual, pairs, tmp_path)
    second.resume(tmp_path / "last.safetensors", weights_only=True)
    assert second.step == 0 and second.seconds == 0.0
