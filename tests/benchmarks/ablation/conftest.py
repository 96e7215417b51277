"""Weights for training runs that only have to run."""

import sys
from pathlib import Path

import pytest

FAKES = str(Path(__file__).resolve().parents[2] / "fakes")
if FAKES not in sys.path:
    sys.path.insert(0, FAKES)


@pytest.fixture(scope="session")
def perceptual_folder(tmp_path_factory):
    from fake_perceptual import write_weights

    return write_weights(tmp_path_factory.mktemp("metric"))
