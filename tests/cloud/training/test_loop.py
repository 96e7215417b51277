"""cloud.training.loop: a run goes, stops, resumes and exports; on synthetic streets and random perceptual weights."""

import dataclasses
import json

import numpy as np
import torch

from cloud.training.checkpoints import load_model
from cloud.training.config import parse_config
from cloud.training.loop import Trainer
from cloud.training.losses import AlexDistance


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


def test_a_schedule_of_steps_ends_there_whatever_the_time(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path)
    run.config = dataclasses.replace(run.config, steps=2, minutes=0.0001, warmup_steps=1)
    first = run._rate()
    run.run()
    assert run.step == 2 and run._rate() < 0.05 * first
    run.run()
    assert run.step == 2


def test_the_codebook_is_trained_by_its_penalty(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path)
    assert float(run.losses()["codebook"].detach()) == 0
    model = dataclasses.replace(run.config.model, entropy="vq", latent_channels=8)
    run = Trainer(
        dataclasses.replace(run.config, model=model), [], pairs, run.objective.perceptual, tmp_path, "cpu"
    )
    parts = run.losses()
    assert float(parts["codebook"].detach()) > 0
    (gradient,) = torch.autograd.grad(parts["codebook"], run.model.tokens.codebook, retain_graph=True)
    assert float(gradient.abs().max()) > 0


def test_lossy_side_views_are_restored_before_they_are_trained_on(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path)
    run.batches.config = dataclasses.replace(run.config, lossy_side=1.0, drop_side=0.0)
    plain = run._next()
    assert plain.lossy.tolist() == [True, True]
    run.rng.seed(run.config.seed)
    coded = run._next()
    run.restorer = torch.nn.Hardtanh(0.25, 0.75)
    run.rng.seed(run.config.seed)
    restored = run._next()
    assert torch.equal(restored.main, coded.main)
    assert torch.equal(restored.side, coded.side.clamp(0.25, 0.75))
    run.batches.config = dataclasses.replace(run.config, lossy_side=0.0)
    assert float(run._next().side.min()) < 0.25  # nothing lossy, nothing to restore
