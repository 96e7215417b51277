"""cloud.training.objective: what is shown is judged with the refiner and the critic behind it; both learn."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import cloud.training
from cloud.decoder import Decoder
from cloud.models.codec import Codec
from cloud.training.checkpoints import load_model, load_refiner
from cloud.training.config import load_config, parse_config
from cloud.training.critic import Adversary
from cloud.training.loop import Trainer
from cloud.training.losses import AlexDistance
from cloud.training.objective import Objective
from cloud.training.warmstart import bundle_weights
from common.bundle import Bundle
from common.errors import UsageError
from common.synthetic import StereoStreet
from edge.encoder import Encoder

CHANNELS = 4


def tables():
    step = np.zeros((1, 16, 16), np.int32)
    step[0, :3, :3] = 400
    return {
        "refine_row": np.array([-1, -1, -1, -1, -1, -1, -1, 0], np.int32),
        "refine_latents": np.array([0, 1, 2, 3, 4, 5, 6, 5], np.int32),
        "refine_step": step,
        "refine_dc": np.zeros(9 * CHANNELS + 1, np.int32),
    }


def trainer(perceptual, pairs, out, workers=0, **settings):
    config = parse_config(
        {
            "model": {"latent_channels": CHANNELS, "hyper_channels": 2},
            "crops": [{"height": 64, "width": 128, "batch": 3, "scale": [0.5, 1.0]}],
            "refiner_width": 8,
            "refiner_wide": 16,
            "steps": 4,
            "warmup_steps": 1,
            **settings,
        },
        "test",
    )
    distance = AlexDistance(perceptual)
    return Trainer(config, [], pairs, distance, out, "cpu", workers, tables())


def test_the_refiner_learns_with_the_codec_and_comes_out_again(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path, workers=1, paste=0.5, colour=0.1)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run(steps=2)
    moved = {n for n, v in run.model.state_dict().items() if not torch.equal(v, before[n])}
    assert {"refiner.head.weight", "analysis.head.weight", "pixels.head.weight"} <= moved
    model, _ = load_model(tmp_path / "last.safetensors")
    assert torch.equal(model.analysis.head.weight, run.ema["analysis.head.weight"])
    refiner = load_refiner(tmp_path / "last.safetensors")
    assert torch.equal(refiner["head.weight"], run.ema["refiner.head.weight"])


def test_the_decoder_alone_learns_from_latents_as_packets_bring_them(perceptual, pairs, tmp_path):
    rounding = [0.5, 0.6, 0.7, 0.8, 0.9, 0.5, 0.5, 1.0]
    run = trainer(perceptual, pairs, tmp_path, decoder_only=True, rounding=rounding, ways=[0.35])
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run(steps=2)
    moved = {n.split(".")[0] for n, v in run.model.state_dict().items() if not torch.equal(v, before[n])}
    assert {"geometry", "pixels", "side", "denoiser", "inverse_log_gain"} <= moved
    assert not moved & {"analysis", "hyperprior", "latent", "refiner"}


@pytest.mark.parametrize("quality", [2, 3])
def test_its_latents_are_those_of_the_bundle_s_packets(perceptual, quality):
    bundle = Bundle.load()
    config = load_config(Path(cloud.training.__file__).parent / "configs" / "decoder.toml")
    model = Codec(config.model)
    model.load_state_dict(bundle_weights(bundle, model), strict=False)
    objective = Objective(config, model, AlexDistance(perceptual), torch.device("cpu"))
    image = np.ascontiguousarray(StereoStreet(3, 128, 256).frame(0).main)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    packet = Encoder(bundle, threads=1).encode(image, quality).packet
    wanted = Decoder(bundle, "cpu").coded(packet, 128, 256).y_hat

    def wrong():
        y_hat, _ = objective._sent(pixels, torch.tensor([quality]))
        return int((np.abs(y_hat[0].numpy() - wanted) > 1e-3).sum())

    found = wrong()
    objective.config = dataclasses.replace(config, rounding=())
    halves = wrong()
    # Near a threshold the edge's float32 weights and these, of float16, may fall on two sides.
    assert found <= 2 + wanted.size // 1000 and found < halves / 2, (found, halves)


def test_the_critic_pulls_from_its_time_on_and_is_kept(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path, weight_critic=0.2, critic_from=0.5)
    assert "critic" not in run.losses()
    run.run(steps=3)
    kept = {n: v.clone() for n, v in run.objective.adversary.critic.state_dict().items()}
    assert "critic" in run.losses()
    again = trainer(perceptual, pairs, tmp_path, weight_critic=0.2, critic_from=0.5)
    again.resume(tmp_path / "last.safetensors")
    found = again.objective.adversary.critic.state_dict()
    assert all(torch.equal(kept[name], found[name]) for name in kept)
    plain = trainer(perceptual, pairs, tmp_path)
    plain.resume(tmp_path / "last.safetensors")  # without a critic its weights are left alone
    assert plain.step == 3


def test_with_a_critic_that_does_not_pull_the_gradient_is_the_loss_s(
    perceptual, pairs, tmp_path, monkeypatch
):
    monkeypatch.setattr(Adversary, "pull", lambda self, image, other, weight: torch.zeros_like(image))
    objective = trainer(perceptual, pairs, tmp_path, weight_critic=0.2, critic_from=0.0).objective
    main = torch.rand(2, 3, 64, 128)
    gradients, values = [], []
    for pulls in (False, True):
        objective.places.seed(1)
        image = (
            main + 0.05 * torch.randn(main.shape, generator=torch.Generator().manual_seed(0))
        ).requires_grad_()
        loss = objective._shown(image, main, {}, pulls)
        gradients.append(torch.autograd.grad(loss, image)[0])
        values.append(float(loss.detach()))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7) and values[0] == pytest.approx(
        values[1], rel=1e-5
    )


def test_refined_qualities_take_their_latents_or_lower_ones(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path, harder=0.0)
    quality = torch.tensor([0, 3, 7] * 40)
    assert run.objective._latents(quality).tolist() == [0, 3, 5] * 40
    run.objective.config = dataclasses.replace(run.config, harder=1.0)
    drawn = run.objective._latents(quality)
    assert set(drawn[quality == 7].tolist()) == {0, 1, 2, 3, 4, 5}
    assert drawn[quality == 3].tolist() == [3] * 40


def test_qualities_are_drawn_as_often_as_said(perceptual, pairs, tmp_path):
    run = trainer(perceptual, pairs, tmp_path, quality_weights=[0, 0, 1, 0, 0, 0, 0, 3])
    drawn = run.objective._qualities(400)
    assert set(drawn.tolist()) == {2, 7} and 0.65 < float((drawn == 7).float().mean()) < 0.85


def test_without_tables_there_is_nothing_to_tell(perceptual, pairs, tmp_path):
    config = trainer(perceptual, pairs, tmp_path).config
    with pytest.raises(UsageError, match="no refinement"):
        Trainer(config, [], pairs, AlexDistance(perceptual), tmp_path, "cpu")
