"""cloud.training.config: every key is checked."""

from pathlib import Path

import pytest
from safetensors.numpy import load_file

import cloud.training
from cloud.training.config import load_config, parse_config
from common.bundle import Bundle
from common.errors import UsageError


def test_the_bundled_config_loads():
    config = load_config(Path(cloud.training.__file__).parent / "configs" / "compact.toml")
    assert config.model.qualities == len(config.lambdas) == 8
    assert len(config.crops) == len(config.crop_weights) == 2
    assert all(crop.height % 64 == 0 and crop.width % 64 == 0 for crop in config.crops)
    assert list(config.lambdas) == sorted(config.lambdas, reverse=True), "quality 0 pays most for bits"


@pytest.mark.parametrize(
    "raw",
    [
        {"learning_rte": 1},
        {"model": {"latents": 3}},
        {"crops": [{"hight": 1, "scale": [1, 1]}]},
        {"lambdas": [1.0]},
        {"quality_weights": [1.0, 1.0]},
        {"quality_weights": [0.0] * 8},
        {"ways": []},
        {"ways": [1.2]},
        {"rounding": [0.6] * 8},
        {"decoder_only": True, "rounding": [0.6] * 7},
        {"decoder_only": True, "rounding": [0.4] * 8},
        {"crops": [{"height": 128, "width": 130, "batch": 1, "scale": [0.5, 1.0], "enlarged": 4}]},
        {"crops": [{"height": 128, "width": 128, "batch": 1, "scale": [0.5, 1.0], "enlarged": 0}]},
        {"decoder_only": True, "model": {"entropy": "vq"}},
    ],
)
def test_unknown_keys_and_wrong_counts_are_refused(raw):
    with pytest.raises(UsageError, match=r"here"):
        parse_config(raw, "here")


def test_the_config_for_a_gpu_trains_the_same_model_with_its_refiner():
    folder = Path(cloud.training.__file__).parent / "configs"
    small, large = (load_config(folder / name) for name in ("compact.toml", "gpu.toml"))
    assert large.model == small.model and large.lambdas == small.lambdas
    assert large.leave_out == small.leave_out  # the same drives stay unseen
    assert large.refiner_width and large.weight_critic and len(large.quality_weights) == 8


@pytest.mark.parametrize("name", ["decoder.toml", "doubled.toml", "large.toml"])
def test_the_configs_for_the_decoder_alone_round_as_the_shipped_bundle_does(name):
    folder = Path(cloud.training.__file__).parent / "configs"
    small, alone = (load_config(folder / each) for each in ("compact.toml", name))
    assert alone.decoder_only and alone.model == small.model
    assert alone.leave_out == small.leave_out
    bundle = Bundle.load()
    percent = load_file(bundle.file("entropy.safetensors"))["round_at"]
    assert [round(r * 100) for r in alone.rounding] == percent.tolist()
    assert set(alone.ways) <= set(bundle.manifest["refinement"]["shares"])
    assert all(shape.enlarged == 2 for shape in alone.crops) == (name == "doubled.toml")


def test_a_missing_or_broken_file_is_one_error(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(UsageError, match=r"bad\.toml"):
        load_config(tmp_path / "bad.toml")


def test_the_shipped_config_is_the_whole_method():
    config = load_config(Path(cloud.training.__file__).parent / "configs" / "compact.toml")
    model = config.model
    assert model.feedback and model.search and model.mask and model.text and model.text_supervision
    assert list(config.lambdas) == sorted(config.lambdas, reverse=True)
    assert config.leave_out, "a drive is kept for validation"


def test_an_impossible_model_is_named():
    with pytest.raises(UsageError, match=r"toml \[model\]: attention"):
        parse_config({"model": {"attention": "columns"}}, "some.toml")
