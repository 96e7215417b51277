"""cloud.training.warmstart: a bundle's weights, and the distributions behind its tables, come back."""

import numpy as np
import pytest
import torch

from cloud.export import entropy_arrays, write_bundle, z_tables
from cloud.models.codec import Codec, ModelConfig
from cloud.training.finish import Finished
from cloud.training.warmstart import bundle_weights, fit_laplace
from common.bundle import Bundle
from common.errors import BundleCorrupt

CONFIG = ModelConfig(latent_channels=4, hyper_channels=2)


def test_distributions_are_found_behind_their_tables():
    rng = np.random.default_rng(0)
    mean, log_scale = rng.uniform(-1, 1, (8, 3)), rng.uniform(-1.5, 2, (8, 3))
    found_mean, found_scale = fit_laplace(z_tables(mean, np.exp(log_scale), 20))
    assert np.abs(found_scale.numpy() - log_scale).max() < 0.15
    # A narrow distribution says little about where in its bin the mean is.
    wide = log_scale > -0.5
    assert np.abs(found_mean.numpy() - mean)[wide].max() < 0.05


def test_what_is_written_again_is_the_same_bundle(tmp_path):
    torch.manual_seed(0)
    first = Codec(CONFIG)
    bundle = write_bundle(first, tmp_path / "tiny", "tiny", {})
    second = Codec(CONFIG)
    found = bundle_weights(bundle, second)
    assert {name for name in second.state_dict() if name not in found} <= {
        "hyperprior.z_mean",
        "hyperprior.z_log_scale",
    }
    second.load_state_dict(found, strict=False)
    kept, again = entropy_arrays(first), entropy_arrays(second)
    for name in kept:
        if name != "z_cdf":
            assert np.array_equal(kept[name], again[name]), name
    assert np.abs(kept["z_cdf"].astype(int) - again["z_cdf"]).max() < 0.02 * kept["z_cdf"].max()
    weights = first.state_dict()
    assert torch.equal(found["analysis.head.weight"], weights["analysis.head.weight"])


def test_the_shipped_bundle_brings_its_refiner_where_the_sizes_agree():
    bundle = Bundle.load(None)
    config = ModelConfig(**bundle.manifest["model"])
    same = bundle_weights(bundle, Finished(config, 48, 96))
    wider = bundle_weights(bundle, Finished(config, 64, 128))
    assert "refiner.gather.weight" in same and "refiner.gather.weight" not in wider
    assert "analysis.head.weight" in wider


def test_a_damaged_file_is_told(tmp_path):
    bundle = write_bundle(Codec(CONFIG), tmp_path / "tiny", "tiny", {})
    (tmp_path / "tiny" / "decoder.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BundleCorrupt):
        bundle_weights(bundle, Codec(CONFIG))
