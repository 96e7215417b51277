"""The synthetic entropy arrays of the golden vectors, for properties of the whole path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.entropy import LatentCodec

TABLES = Path(__file__).parents[1] / "vectors" / "v1" / "tables.json"


@pytest.fixture(scope="session")
def latent_codec() -> LatentCodec:
    """Return a codec with the synthetic arrays: Q=8, Z=2, C=4, ymax=zmax=7."""
    stored = json.loads(TABLES.read_text())
    return LatentCodec({n: np.array(v["data"], v["dtype"]).reshape(v["shape"]) for n, v in stored.items()})
