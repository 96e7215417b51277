"""What the side view costs with each codec, and the sums."""

import cv2
import numpy as np
import pytest

from benchmarks.rd.protocol import Sample, SideView
from benchmarks.rd.sidecost import LADDER, SideCosts, side_table


@pytest.fixture
def sample():
    view = cv2.resize(np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8), (160, 96))
    return Sample("x", view, view, SideView.parse("webp").code(view)[1], view, view)


def test_every_codec_of_the_ladder_is_costed_on_the_uncompressed_view(sample):
    costs = SideCosts("full", SideView.parse("webp"))
    assert costs.means() == []
    costs.add(sample)
    costs.add(sample)
    means = {cost["codec"]: cost for cost in costs.means()}
    assert set(means) == set(LADDER)
    assert means["webp"]["bytes"] == sample.side_bytes
    assert means["jpeg:90"]["bytes"] > means["jpeg:50"]["bytes"] > means["jpeg:20"]["bytes"]
    assert means["jpeg:50"]["bpp"] == pytest.approx(means["jpeg:50"]["bytes"] * 8 / (96 * 160))


def test_the_lossless_cost_does_not_depend_on_the_codec_of_the_run(sample):
    lossy, size = SideView.parse("jpeg:20").code(sample.whole_side)
    costs = SideCosts("full", SideView.parse("jpeg:20"))
    costs.add(Sample("x", sample.main, lossy, size, sample.whole_main, sample.whole_side))
    means = {cost["codec"]: cost["bytes"] for cost in costs.means()}
    assert (means["webp"], means["jpeg:20"]) == (sample.side_bytes, size)


def test_table_adds_main_and_side():
    text = side_table([{"codec": "jpeg:50", "bytes": 100.4, "bpp": 0.5}], {0: 0.01, 7: 0.1})
    assert "sum with quality 7 (0.1000)" in text
    assert text.splitlines()[-1] == "| JPEG 50 | 100 | 0.500 | 0.510 | 0.600 |"
