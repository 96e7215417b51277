"""cloud.training.material: scenes are decoded once, and the next ones do not depend on which were there."""

import random

import numpy as np
import pytest
import torch

from cloud.decoder import Decoder
from cloud.export import write_bundle
from cloud.models.codec import Codec, ModelConfig
from cloud.training.batches import Batches
from cloud.training.config import parse_config
from cloud.training.data import synthetic_pairs
from cloud.training.material import load, make


@pytest.fixture(scope="module")
def decoder(tmp_path_factory) -> Decoder:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("material") / "tiny"
    return Decoder(
        write_bundle(Codec(ModelConfig(latent_channels=4, hyper_channels=2)), folder, "t", {}), "cpu"
    )


@pytest.fixture(scope="module")
def pairs():
    return synthetic_pairs(2, height=128, width=256)


def batches(pairs) -> Batches:
    crops = [{"height": 64, "width": 128, "batch": 2, "scale": [0.5, 1.0]}]
    return Batches(parse_config({"crops": crops}, "test"), [], pairs, random.Random(0), torch.device("cpu"))


def test_a_folder_that_is_half_full_is_filled_up_alike(decoder, pairs, tmp_path):
    make(tmp_path / "a", decoder, batches(pairs), 3, [2, 5])
    scenes = load(tmp_path / "a")
    assert [scene.latents for scene in scenes] == [2, 2, 5, 5, 2, 2]
    (tmp_path / "a" / "0002.npz").unlink()
    (tmp_path / "a" / "0002.partial.npz").write_bytes(b"cut off")
    first = (tmp_path / "a" / "0000.npz").stat().st_mtime_ns
    make(tmp_path / "a", decoder, batches(pairs), 3, [2, 5])
    again = load(tmp_path / "a")
    assert len(again) == len(scenes) and (tmp_path / "a" / "0000.npz").stat().st_mtime_ns == first
    for old, new in zip(scenes, again, strict=True):
        np.testing.assert_array_equal(old.main, new.main)
        np.testing.assert_array_equal(old.y16, new.y16)


def test_pictures_can_be_those_of_a_lower_quality_while_the_latents_are_not(decoder, pairs, tmp_path):
    make(tmp_path / "own", decoder, batches(pairs), 4, [5])
    make(tmp_path / "low", decoder, batches(pairs), 4, [5], [5, 0])
    own, low = load(tmp_path / "own"), load(tmp_path / "low")
    assert {scene.latents for scene in own + low} == {5}
    alike = []
    for a, b in zip(own, low, strict=True):
        np.testing.assert_array_equal(a.main, b.main)
        np.testing.assert_array_equal(a.y16, b.y16)
        alike.append(np.array_equal(a.base, b.base))
    assert all(alike[:2]) and all(alike[4:6])  # batches of two, every other one decoded at 0
    assert not all(alike)
