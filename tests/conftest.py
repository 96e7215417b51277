"""What every test may rely on: the markers, the real data where it is at hand, one hypothesis profile."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Deadlines measure the machine, not the code: a shared two-core runner misses them at random.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

NO_DATA = (
    "MDIC_DATA is not set: point it at a folder with train/ and test/ of real stereo (README, 'Real data')"
)
NO_WEIGHTS = "MDIC_METRIC_WEIGHTS is not set: point it at the LPIPS and DISTS weights (README, 'Real data')"


def _has_cuda() -> bool:
    """Tell whether a CUDA device can be used; never imports torch where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, each with a line that says why."""
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
    if not os.environ.get("MDIC_DATA"):
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason=NO_DATA))


def _folder_from_environment(variable: str, reason: str) -> Path:
    """Return the folder that an environment variable names, or skip the test that asked."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(reason)
    folder = Path(value)
    # Set but wrong is a mistake to hear about, not a reason to skip.
    assert folder.is_dir(), f"{variable}={value} is not a folder"
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout's folder."""
    return ROOT


@pytest.fixture(scope="session")
def mdic_data() -> Path:
    """Return the folder of real stereo data (holding train/ and test/), or skip."""
    return _folder_from_environment("MDIC_DATA", NO_DATA)


@pytest.fixture(scope="session")
def metric_weights() -> Path:
    """Return the folder of the perceptual metrics' weights, or skip."""
    return _folder_from_environment("MDIC_METRIC_WEIGHTS", NO_WEIGHTS)
