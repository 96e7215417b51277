"""A variant's run: done once, resumed where it stopped, started from common weights, never mixed with another."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.ablation import retrain, smoke
from benchmarks.ablation.retrain import Material, averaged, first_difference, train
from benchmarks.ablation.variants import ENTROPY, FULL
from cloud.models.codec import ModelConfig
from cloud.tensors import read_tensors
from cloud.training.config import TrainConfig
from cloud.training.crops import CropShape
from cloud.training.data import synthetic_pairs
from cloud.training.losses import AlexDistance
from common.bundle import Bundle
from common.errors import UsageError

BASE = smoke.shrink(TrainConfig())
SMALL = CropShape(64, 128, 1, (0.4, 0.6))
PLAIN = {"search": False, "feedback": False}


def variant(letter):
    names = {"b": "fsq-table", "c": "hyperprior", "d": "checkerboard"}
    return next(v for v in ENTROPY.variants if v.name == names[letter]).config(BASE, PLAIN)


@pytest.fixture(scope="module")
def material(perceptual_folder):
    streets = synthetic_pairs(1, height=128, width=256)
    return Material([], streets, AlexDistance(perceptual_folder), None, (), "cpu", {"data": "streets"})


def test_a_run_stops_at_its_budget_is_resumed_and_not_repeated(material, tmp_path, monkeypatch):
    config, calls = variant("b"), []
    real = retrain.Trainer.run

    def stop_early(self, **_):
        calls.append(self.step)
        real(self, steps=1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(retrain.Trainer, "run", stop_early)
    with pytest.raises(KeyboardInterrupt):
        train(config, material, tmp_path)
    facts = train(config, material, tmp_path)
    assert calls == [0, 1], "the second call goes on where the first stopped"
    assert facts["done"] and facts["steps"] == smoke.STEPS and facts["parameters"] > 1_000_000
    assert train(config, material, tmp_path) == facts
    assert len(calls) == 2, "done is done"
    assert averaged(tmp_path).config.entropy == "fsq"
    other = dataclasses.replace(config, learning_rate=1e-5)
    with pytest.raises(UsageError, match=r"config\.learning_rate"):
        train(other, material, tmp_path)


def test_common_weights_are_taken_but_for_the_entropy_model(material, tmp_path):
    first = train(variant("c"), material, tmp_path / "first")
    assert first["fitted"] == 0
    later = dataclasses.replace(material, start=tmp_path / "first" / "last.safetensors", fresh=ENTROPY.fresh)
    config = dataclasses.replace(variant("d"), steps=1, learning_rate=1e-12, seed=5)
    facts = train(config, later, tmp_path / "second")
    assert 0 < facts["fitted"] < facts["wanted"]
    assert facts["settings"]["start"] != first["settings"]["start"]
    start, model = (load_file(tmp_path / name / "last.safetensors") for name in ("first", "second"))
    common, own = "model.side.join.weight", "model.hyperprior.decoder.w1"
    assert torch.allclose(start[common], model[common], atol=1e-6)
    assert start[own].shape == model[own].shape and not torch.allclose(start[own], model[own], atol=1e-3)
    assert "model.hyperprior.context.weight" in model and "model.hyperprior.context.weight" not in start


def test_a_bundle_is_a_start_too_and_its_id_stands_in_the_settings(material, tmp_path):
    shipped = Bundle.load()
    model = ModelConfig(**{**FULL, "skips": False, "kernel": "lanczos"})
    config = dataclasses.replace(BASE, model=model, steps=1, learning_rate=1e-12, crops=(SMALL,))
    facts = train(config, dataclasses.replace(material, start=Path(shipped.path)), tmp_path)
    assert facts["settings"]["start"] == shipped.hex
    assert 0.5 * facts["wanted"] < facts["fitted"] < facts["wanted"], "the mask of latents is new"
    known = read_tensors(shipped.file("decoder.safetensors"))["denoiser.unet.conv_out.weight"]
    trained = load_file(tmp_path / "last.safetensors")["model.denoiser.unet.conv_out.weight"]
    assert torch.allclose(known, trained, atol=1e-6)


def test_first_difference_names_the_place():
    assert first_difference({"a": {"b": 1, "c": [1]}}, {"a": {"b": 1, "c": [1]}}) is None
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b"
    assert first_difference({"a": 1}, {}) == "a"
