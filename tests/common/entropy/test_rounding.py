"""common.entropy.rounding: where the encoder rounds up, and what a bundle may say of it."""

from __future__ import annotations

import numpy as np
import pytest

from common.entropy.rounding import rounded, rounding
from common.errors import BundleCorrupt


def test_halves_go_to_even_and_a_threshold_widens_the_zero():
    values = np.array([0.5, -0.5, 1.5, 0.61, -0.61, 0.75, -1.69, -1.75], np.float32)
    assert rounded(values).tolist() == [0, 0, 2, 1, -1, 1, -2, -2]
    assert rounded(values, 0.7).tolist() == [0, 0, 1, 0, 0, 1, -1, -2]
    assert rounded(values, 0.7).dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(BundleCorrupt, match="not finite"):
        rounded(np.array([1.0, value], np.float32), 0.6)


def test_a_bundle_gives_percents_or_nothing():
    assert rounding({}, 3, "f") == [0.5] * 3
    assert rounding({"round_at": np.array([50, 66, 100], np.int32)}, 3, "f") == [0.5, 0.66, 1.0]


@pytest.mark.parametrize("percent", [[50, 66], [49, 66, 70], [50, 101, 70], [[50, 66, 70]]])
def test_other_percents_are_refused(percent):
    with pytest.raises(BundleCorrupt, match="round_at"):
        rounding({"round_at": np.array(percent, np.int32)}, 3, "f")
