"""`mdic-cloud refine`: from a bundle and synthetic streets to a refined bundle that both sides can use."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from fake_perceptual import write_weights

from cloud.decoder import Decoder, DecodeRequest
from cloud.export import main as export
from cloud.export import write_bundle
from cloud.models.codec import Codec, ModelConfig
from cloud.models.refiner import Refiner
from cloud.rebundle import add_refinement
from cloud.training.batches import Batches
from cloud.training.config import load_config, parse_config
from cloud.training.data import synthetic_pairs
from cloud.training.finish import refinement_tables
from cloud.training.loop import Trainer
from cloud.training.losses import AlexDistance
from cloud.training.material import load, make
from cloud.training.refine import (
    Plan,
    RefinerTrainer,
    fit,
    main,
    parse_bases,
    parse_plans,
    parse_rounding,
    parse_shares,
    prepare,
    untold,
)
from common.bundle import Bundle
from common.entropy.refinement import RefinementCodec
from common.errors import BundleCorrupt, UsageError
from common.luma import coefficients, luma
from common.synthetic import StereoStreet
from edge.encoder import Encoder, pad

CONFIG = """
[model]
latent_channels = 4
hyper_channels = 2
[[crops]]
height = 64
width = 128
batch = 2
scale = [0.5, 1.0]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Refine a small untrained bundle once; return the run's folder."""
    folder = tmp_path_factory.mktemp("refine")
    torch.manual_seed(0)
    write_bundle(Codec(ModelConfig(latent_channels=4, hyper_channels=2)), folder / "tiny", "tiny", {})
    (folder / "config.toml").write_text(CONFIG)
    weights = folder / "weights"
    weights.mkdir()
    write_weights(weights)
    arguments = ["--bundle", str(folder / "tiny"), "--synthetic", "2", "--metric-weights", str(weights)]
    arguments += ["--config", str(folder / "config.toml"), "--out", str(folder / "run"), "--device", "cpu"]
    arguments += ["--batches", "4", "--minutes", "0.02", "--plan", "6:5:0.05,7:5:0.01", "--note", "a test"]
    arguments += ["--shares", "0,0.25,0.5,0.5,0.5,0.5,0.5,1"]
    assert main(arguments) == 0
    return folder


def test_the_refined_bundle_says_what_it_is(run):
    plain, refined = Bundle.load(run / "tiny"), Bundle.load(run / "run" / "bundle")
    assert refined.id != plain.id and refined.name == "tiny"
    assert refined.manifest["refinement"]["plan"] == "6:5:0.05,7:5:0.01"
    assert refined.manifest["refinement"]["note"] == "a test"
    assert Decoder(refined, "cpu").shares.tolist() == [0, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 1]
    for name in plain.manifest["files"]:
        if name != "entropy.safetensors":
            assert refined.file(name).read_bytes() == plain.file(name).read_bytes()


def test_tables_alone_can_be_fitted_and_the_network_stays(run, tmp_path):
    bundle = run / "run" / "bundle"
    arguments = ["--bundle", str(bundle), "--synthetic", "2", "--metric-weights", str(run / "weights")]
    arguments += ["--config", str(run / "config.toml"), "--out", str(tmp_path), "--device", "cpu"]
    assert main([*arguments, "--batches", "2", "--minutes", "0", "--plan", "6:5:0.02,7:5:0.005"]) == 0
    before, after = Bundle.load(bundle), Bundle.load(tmp_path / "bundle")
    assert after.file("refiner.safetensors").read_bytes() == before.file("refiner.safetensors").read_bytes()
    assert after.file("entropy.safetensors").read_bytes() != before.file("entropy.safetensors").read_bytes()
    assert after.manifest["refinement"]["shares"] == before.manifest["refinement"]["shares"]


def test_a_checkpoint_with_a_refiner_is_exported_with_the_tables_of_a_bundle(run, tmp_path):
    tables = run / "run" / "bundle"
    config = {
        "model": {"latent_channels": 4, "hyper_channels": 2},
        "crops": [{"height": 64, "width": 128, "batch": 2, "scale": [0.5, 1.0]}],
        "refiner_width": 8,
        "refiner_wide": 16,
        "steps": 1,
    }
    trainer = Trainer(
        parse_config(config, "test"),
        [],
        synthetic_pairs(2, height=128, width=256),
        AlexDistance(run / "weights"),
        tmp_path,
        "cpu",
        tables=refinement_tables(str(tables)),
    )
    trainer.resume(tables)
    trainer.run()
    assert export([str(tmp_path / "last.safetensors"), str(tmp_path / "out"), "--tables", str(tables)]) == 0
    bundle = Bundle.load(tmp_path / "out")
    assert bundle.manifest["refinement"]["plan"] == "6:5:0.05,7:5:0.01"
    street = StereoStreet(3, height=64, width=128).frame(0)
    packet = Encoder(bundle, threads=1).encode(street.main, 7).packet
    decoder = Decoder(bundle, "cpu")
    assert decoder.refiner.shift.weight.shape[1] == 8
    assert decoder.decode(DecodeRequest(packet, 64, 128, street.side)).image.shape == (64, 128, 3)
    with pytest.raises(UsageError, match="no refinement"):
        export([str(tmp_path / "last.safetensors"), str(tmp_path / "other"), "--tables", str(run / "tiny")])
    assert not (tmp_path / "other").exists()


def test_both_sides_use_it(run):
    bundle = Bundle.load(run / "run" / "bundle")
    encoder, decoder = Encoder(bundle, threads=1), Decoder(bundle, "cpu")
    street = StereoStreet(3, height=70, width=150).frame(0)
    frames = [encoder.encode(street.main, quality) for quality in (5, 6, 7)]
    sizes = [len(frame.packet) for frame in frames]
    assert sizes[0] < sizes[1] < sizes[2]
    requests = [DecodeRequest(frame.packet, 70, 150, street.side) for frame in frames]
    pictures = [decoder.decode(request).image for request in requests]
    errors = [np.square(p.astype(float) - street.main).mean() for p in pictures]
    assert errors[2] < errors[1] < errors[0]
    # One batch of qualities with and without a refinement is the same as one by one, but for rounding.
    for alone, together in zip(pictures, decoder.decode_batch(requests), strict=True):
        assert np.abs(alone.astype(int) - together.image).max() <= 2


def test_the_picture_comes_nearer_to_the_intervals(run):
    bundle = Bundle.load(run / "run" / "bundle")
    encoder, decoder = Encoder(bundle, threads=1), Decoder(bundle, "cpu")
    street = StereoStreet(3, height=64, width=128).frame(0)
    frames = {quality: encoder.encode(street.main, quality) for quality in (5, 7)}
    refinement = decoder.coded(frames[7].packet, 64, 128).refinement
    assert refinement is not None and decoder.coded(frames[5].packet, 64, 128).refinement is None
    low, high = refinement.bounds()
    for side in (street.side, None):
        outside = {}
        for quality, frame in frames.items():  # the same latents, with and without
            picture = decoder.decode(DecodeRequest(frame.packet, 64, 128, side)).image
            found = coefficients(luma(pad(picture, 64)))
            outside[quality] = float(np.maximum(low - found, found - high).clip(0).sum())
        assert outside[7] < 0.6 * outside[5]


def test_frames_without_a_refinement_are_painted_too(run):
    bundle = Bundle.load(run / "run" / "bundle")
    packet = Encoder(bundle, threads=1).encode(StereoStreet(3, height=70, width=150).frame(0).main, 2).packet
    decoder = Decoder(bundle, "cpu")
    before = decoder.decode(DecodeRequest(packet, 70, 150, None)).image
    with torch.no_grad():
        decoder.refiner.head.bias += 0.2
    after = decoder.decode(DecodeRequest(packet, 70, 150, None)).image
    brighter = after.astype(int) - before
    assert brighter[before < 200].min() >= 10  # half of 0.2 of the range of two
    scenes = untold(load(run / "run" / "scenes"))
    assert [quality for _, quality, _ in scenes] == [5] * 8 and not any(r.steps.any() for _, _, r in scenes)


def test_without_its_network_the_bundle_is_refused(run, tmp_path):
    shutil.copytree(run / "run" / "bundle", tmp_path / "b")
    (tmp_path / "b" / "refiner.safetensors").unlink()
    with pytest.raises(BundleCorrupt, match="refiner"):
        Decoder(Bundle.load(tmp_path / "b"), "cpu")


@pytest.mark.parametrize(
    "shares",
    ["[0.5]", "[true, 0, 0, 0, 0, 0, 0, 0]", "[0, 0, 0, 0, 0, 0, 0, 2]", '["a", 0, 0, 0, 0, 0, 0, 0]', "0.5"],
)
def test_shares_that_make_no_sense_are_refused(run, tmp_path, shares):
    shutil.copytree(run / "run" / "bundle", tmp_path / "b")
    manifest = tmp_path / "b" / "manifest.toml"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(f"shares = {shares}" if x.startswith("shares") else x for x in lines))
    with pytest.raises(BundleCorrupt, match="shares"):
        Decoder(Bundle.load(tmp_path / "b"), "cpu")


def test_scenes_and_curve_are_kept(run):
    scenes = load(run / "run" / "scenes")
    assert len(scenes) == 8 and {scene.latents for scene in scenes} == {5}
    scene = scenes[0]
    assert scene.main.shape == scene.base.shape == scene.warped.shape == (3, 64, 128)
    assert scene.mask.shape == (1, 64, 128) and scene.y16.shape == (4, 4, 8)
    assert scene.example().true.shape == (4, 8, 16, 16)
    for line in (run / "run" / "refiner.jsonl").read_text().splitlines():
        assert json.loads(line)["step"] > 0
    assert (run / "run" / "refiner.safetensors").is_file()


def test_training_moves_the_network_and_its_average(run):
    scenes = load(run / "run" / "scenes")
    arrays = fit(scenes, [Plan(7, 5, 0.01)], 8)
    prepared = prepare(scenes, RefinementCodec(arrays, 4, 8, "test"), [7])
    assert len(prepared) == len(scenes)

    class Plain(torch.nn.Module):
        def forward(self, image, target):
            distance = (image - target).abs().mean((1, 2, 3))
            return distance, distance

    trainer = RefinerTrainer(prepared, Plain(), "cpu")
    before = trainer.ema["head.weight"].clone()
    parts = trainer.losses()
    assert set(parts) == {"l1", "mse", "lpips", "texture", "fine", "total"}
    trainer.run(0.02, run)
    assert not torch.equal(trainer.ema["head.weight"], before)


def test_training_goes_on_from_given_weights(run):
    scenes = load(run / "run" / "scenes")
    arrays = fit(scenes, [Plan(7, 5, 0.01)], 8)
    prepared = prepare(scenes, RefinementCodec(arrays, 4, 8, "test"), [7])
    start = {name: value + 0.01 for name, value in Refiner().state_dict().items()}
    trainer = RefinerTrainer(prepared, torch.nn.Identity(), "cpu", start=start)
    for name, value in trainer.ema.items():
        torch.testing.assert_close(value, start[name])


def test_a_bundle_is_not_refined_in_place(run):
    bundle = Bundle.load(run / "tiny")
    with pytest.raises(UsageError, match="another folder"):
        add_refinement(bundle, run / "tiny", {}, Refiner().state_dict(), {})
    assert Bundle.load(run / "tiny").id == bundle.id


@pytest.mark.parametrize(
    "text", ["", "5", "5:4", "5:6:0.1", "8:7:0.1", "5:4:0", "5:4:x", "5:4:0.1,5:3:0.1", "5:4:nan"]
)
def test_plans_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="--plan"):
        parse_plans(text, 8)


def test_plans_are_sorted():
    assert parse_plans("7:5:0.01,6:4:0.05", 8) == [Plan(6, 4, 0.05), Plan(7, 5, 0.01)]


@pytest.mark.parametrize("text", ["", "62", "62,50,50", "62,49", "62,101", "62,x"])
def test_roundings_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="--round-at"):
        parse_rounding(text, 2)


@pytest.mark.parametrize("text", ["", "0.5", "0.5,x", "0.5,1.5", "nan,0"])
def test_shares_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--shares"):
        parse_shares(text, 2)


@pytest.mark.parametrize("text", ["", "x", "1,", "5", "-1"])
def test_bases_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="--bases"):
        parse_bases(text, [Plan(6, 5, 0.1), Plan(7, 4, 0.1)])


def test_bases_are_all_that_are_lower_unless_said():
    assert parse_bases(None, [Plan(6, 2, 0.1)]) == [0, 1, 2]
    assert parse_bases("1,1,0", [Plan(6, 2, 0.1)]) == [1, 1, 0]


def test_rounding_is_the_bundles_array():
    assert parse_rounding(None, 2) == {}
    assert parse_rounding("62,50", 2)["round_at"].tolist() == [62, 50]


def test_refining_anew_keeps_the_shares(run, tmp_path):
    arguments = [
        "--bundle",
        str(run / "run" / "bundle"),
        "--synthetic",
        "2",
        "--out",
        str(tmp_path / "again"),
    ]
    arguments += ["--metric-weights", str(run / "weights"), "--config", str(run / "config.toml")]
    arguments += ["--batches", "2", "--minutes", "0.01", "--plan", "7:5:0.01", "--device", "cpu"]
    assert main(arguments) == 0
    again = Bundle.load(tmp_path / "again" / "bundle")
    old = Bundle.load(run / "run" / "bundle")
    assert again.manifest["refinement"]["shares"] == old.manifest["refinement"]["shares"]


def test_a_refined_bundle_can_be_refined_anew(run, tmp_path):
    bundle = Bundle.load(run / "run" / "bundle")
    decoder = Decoder(bundle, "cpu")
    batches = Batches(
        load_config(run / "config.toml"), [], synthetic_pairs(2), random.Random(0), decoder.device
    )
    make(tmp_path / "scenes", decoder, batches, 1, [7])
    assert load(tmp_path / "scenes")[0].latents == 7 and decoder.codec.is_refined(7)
    arrays = {name: value for name, value in decoder_arrays(bundle).items() if name.startswith("refine_")}
    again = add_refinement(bundle, tmp_path / "b", arrays, decoder.refiner.state_dict(), {"note": "again"})
    assert again.manifest["refinement"] == {"note": "again"}
    assert list(again.manifest["files"]).count("refiner.safetensors") == 1


def decoder_arrays(bundle):
    from safetensors.numpy import load_file

    return load_file(bundle.file("entropy.safetensors"))


def test_a_quality_without_scenes_is_a_mistake():
    with pytest.raises(UsageError, match="quality 3"):
        fit([], [Plan(5, 3, 0.1)], 8)
