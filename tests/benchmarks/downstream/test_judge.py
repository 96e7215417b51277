"""The judge on a pair of known disparity: the source agrees with itself, the controls as geometry says."""

import numpy as np
import pytest

from benchmarks.downstream.judge import Judge, compare
from benchmarks.downstream.segmenter import Segmenter
from benchmarks.rd.controls import shift_right


class Brightness(Segmenter):
    """Calls a pixel 0 where it is dark and 1 where it is bright."""

    def __init__(self):
        pass

    def labels(self, image):
        return (image.mean(axis=2) > 128).astype(np.uint8)


class Difference:
    def flow(self, first, second):
        moved = (second.astype(np.float32) - first)[..., :2]
        return moved


def test_the_source_agrees_with_itself(pair):
    judge = Judge(Brightness(), Difference())
    source = judge.answer(pair.main, pair, pair.side)
    row = compare(source, judge.answer(pair.main, pair, pair.side))
    assert (row["seg_agreement"], row["stereo_1px"], row["stereo_d1"], row["flow_epe"]) == (1, 1, 0, 0)
    assert np.median(source.disparity[~source.holes]) == pytest.approx(10, abs=0.1)


def test_a_copied_side_view_has_no_depth(pair):
    judge = Judge(Brightness(), None)
    source = judge.answer(pair.main, pair, None)
    copied = compare(source, judge.answer(pair.side, pair, None))
    shifted = compare(source, judge.answer(shift_right(pair.side, 10), pair, None))
    assert copied["stereo_3px"] < 0.05 and copied["stereo_d1"] > 0.95
    assert shifted["stereo_1px"] > 0.95 and shifted["stereo_d1"] < 0.05
    assert copied["seg_agreement"] < 0.8 < shifted["seg_agreement"]
    assert "flow_epe" not in copied


def test_what_is_missing_is_left_out(pair):
    judge = Judge(None, Difference())
    source = judge.answer(pair.main, pair, None)  # the last frame of a drive has no next one
    row = compare(source, source)
    assert set(row) == {"stereo_1px", "stereo_3px", "stereo_d1", "stereo_density"}
