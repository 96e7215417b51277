"""What runs that only have to run are made of: random loss weights, two synthetic streets."""

import pytest
from fake_perceptual import write_weights

from cloud.training.data import synthetic_pairs


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("metric"))


@pytest.fixture(scope="module")
def pairs():
    return synthetic_pairs(2, height=128, width=256)
