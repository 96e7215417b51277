"""Small bundles made of an untrained codec, and what can be added to them."""

import json
import shutil
from pathlib import Path

import numpy as np

from cloud.decoder import Decoder
from cloud.models.codec import ModelConfig
from cloud.rebundle import (
    manifest_text,
)
from common.bundle import Bundle
from common.entropy.tables import laplace_tables

CONFIG = ModelConfig(latent_channels=4, hyper_channels=2)
REFINED = Path(__file__).parents[1] / "vectors" / "v1" / "tables-refined.json"


def trained(bundle):
    """Return weights that differ from the bundle's in all but the encoder."""
    weights = Decoder(bundle, "cpu").model.state_dict()
    return {k: v.clone() if k.startswith("analysis.") else v + 0.25 for k, v in weights.items()}


SIZE = 200_000
"""Bytes of an addition: its weights differ from the old ones by a constant, which is one direction a matrix."""
SIZES = [{"pixels": 16384, "scale": [4] * 8, "quality": list(range(8))}]


def with_sizes(bundle, folder, sizes=SIZES):
    """Write the bundle into a folder, with frames coded at double size."""
    tables = {key: bundle.manifest[key] for key in ("codec", "model", "training")} | {"resampling": sizes}
    shutil.copytree(bundle.path, folder)
    files = list(bundle.manifest["files"])
    (folder / "manifest.toml").write_text(manifest_text("tiny", tables, files, folder))
    return Bundle.load(folder)


def light(waves, step=41):
    """Return an illumination's arrays, all waves sent at every quality."""
    count = len(waves)
    return {
        "light_wave": np.array(waves, np.int32),
        "light_step": np.full(count, step, np.int32),
        "light_mean": np.zeros(count, np.int32),
        "light_count": np.full(8, count, np.int32),
        "light_cdf": laplace_tables(np.full(count, 5.0), 15),
    }


def refinement():
    """Return a refinement's arrays for four latent channels."""
    stored = json.loads(REFINED.read_text()).items()
    return {
        name: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for name, v in stored if "refine_" in name
    }


def context_arrays():
    """Return two sets of context tables for four latent channels."""
    stored = json.loads((REFINED.parent / "tables-context.json").read_text()).items()
    return {
        name: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for name, v in stored if "context_" in name
    }
