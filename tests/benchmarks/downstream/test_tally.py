"""Means, intervals, the table, and going on from a file."""

import json

import numpy as np
import pytest

from benchmarks.downstream.agreement import segmentation
from benchmarks.downstream.segmenter import CLASSES
from benchmarks.downstream.tally import Subject, Tally
from benchmarks.rd.results import write_json
from common.errors import UsageError

OURS, ORACLE = Subject("mdic", "ours", "ours", 3), Subject("oracle-warp", "oracle", "control")


def row(bytes_, wrong, flow=None):
    reference = np.zeros((4, 4), np.uint8)
    found = reference.copy()
    found.flat[:wrong] = 1
    extra = {} if flow is None else {"flow_epe": flow}
    bpp = None if bytes_ is None else bytes_ / 100
    return {
        "bytes": bytes_,
        "bpp": bpp,
        "stereo_d1": wrong / 16,
        **segmentation(reference, found, len(CLASSES)),
        **extra,
    }


@pytest.fixture
def tally():
    tally = Tally({"bundle": "aa", "qualities": [3]}, seed=7)
    tally.add("a/0", [(OURS, row(100, 4, 2.0)), (ORACLE, row(None, 0))])
    tally.add("a/1", [(OURS, row(200, 0)), (ORACLE, row(None, 0))])
    return tally


def test_means_are_over_the_pictures_that_have_the_number(tally):
    ours, oracle = tally.points()
    assert ours["mean"]["bytes"] == 150 and ours["mean"]["bpp"] == 1.5
    assert ours["mean"]["seg_miou"] == pytest.approx(28 / 32)
    assert ours["mean"]["seg_agreement"] == pytest.approx((12 / 16 + 1) / 2)
    assert ours["mean"]["flow_epe"] == 2.0  # the last frame of a drive has no flow
    assert oracle["mean"]["bytes"] is None and oracle["mean"]["seg_miou"] == 1
    assert ours["interval"] == {}  # two pictures have none


def test_intervals_come_with_three_pictures_and_the_end(tally):
    tally.add("a/2", [(OURS, row(300, 8)), (ORACLE, row(None, 0))])
    complete = tally.document({}, complete=True)["points"][0]
    low, high = complete["interval"]["seg_miou"]
    assert 0.5 <= low < complete["mean"]["seg_miou"] < high <= 1
    assert "flow_epe" not in complete["interval"]
    assert tally.document({}, complete=False)["points"][0]["interval"] == {}


def test_the_table_leaves_out_what_nobody_has(tally):
    table = tally.table().splitlines()
    assert table[0].startswith("| method | quality | bytes | bpp | segmentation mIoU ↑ |")
    assert "flow error px ↓" in table[0] and "stereo ≤ 1 px" not in table[0]
    assert table[2].startswith("| ours | 3 | 150 | 1.5000 | 0.875 |")
    assert table[3].startswith("| oracle |  | not counted |  | 1.000 |")


def test_a_later_run_takes_over_what_it_wants(tally, tmp_path):
    path = tmp_path / "run.json"
    write_json(path, tally.document({"command": "x"}, complete=False))
    later = Tally(dict(tally.settings), seed=7)
    assert later.resume(path, ["a/1", "a/2"]) == 1
    assert later.has("a/1") and not later.has("a/0") and not later.has("a/2")
    assert [point["images"][0]["image"] for point in later.points()] == ["a/1", "a/1"]
    assert later.points()[0]["mean"]["bytes"] == 200


def test_another_run_is_not_mixed_in(tally, tmp_path):
    path = tmp_path / "run.json"
    write_json(path, tally.document({}, complete=True))
    with pytest.raises(UsageError, match="bundle 'aa' there, 'bb' now"):
        Tally({"bundle": "bb", "qualities": [3]}, seed=7).resume(path, ["a/0"])
    path.write_text(json.dumps({"points": []}))
    with pytest.raises(UsageError, match="no result of this benchmark"):
        Tally({}, seed=7).resume(path, ["a/0"])
