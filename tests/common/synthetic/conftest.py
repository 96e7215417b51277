"""One small street, drawn once."""

from __future__ import annotations

import pytest

from common.synthetic import StereoStreet


@pytest.fixture(scope="session")
def ideal_street() -> StereoStreet:
    return StereoStreet(3, 128, 416, ideal=True)
