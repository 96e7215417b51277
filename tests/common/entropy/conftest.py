"""The synthetic entropy arrays of the golden vectors, and a codec made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.entropy import LatentCodec

TABLES = Path(__file__).parents[2] / "vectors" / "v1" / "tables.json"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Return the arrays a bundle's entropy.safetensors would hold: Q=8, Z=2, C=4, hidden 8."""
    stored = json.loads(TABLES.read_text())
    return {
        name: np.array(value["data"], dtype=value["dtype"]).reshape(value["shape"])
        for name, value in stored.items()
    }


@pytest.fixture
def codec(arrays: dict[str, np.ndarray]) -> LatentCodec:
    """Return a codec with the synthetic arrays."""
    return LatentCodec(arrays)
