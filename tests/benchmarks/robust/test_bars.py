"""The bars pass and fail by the numbers, at every quality and every picture."""

import pytest

from benchmarks.robust.bars import bars
from benchmarks.robust.store import Store


def store_of(tmp_path, jpeg=(0.11, 0.11), stale=(0.3, 0.3), wrong=((0.4, 0.42), (0.41, 0.43))):
    """Two pictures at one quality; without a side view 0.4, with a lossless one 0.1."""
    store = Store(tmp_path / "x.json", {})
    for i, place in enumerate(("a", "b")):

        def rows(*pairs):
            return [{"condition": c, "label": c, "quality": 3, "lpips_vgg": v} for c, v in pairs]

        store.add("base", place, rows(("lossless", 0.1), ("none", 0.4)))
        store.add("side", place, rows(("jpeg:50", jpeg[i]), ("jpeg:5", 0.9)))
        store.add("stale", place, rows(("stale:1", 0.2), ("stale:2", stale[i])))
        store.add("wrong", place, rows(("wrong:1", wrong[i][0]), ("wrong:2", wrong[i][1])))
    return store


def by_name(store):
    return {bar.name: bar for bar in bars(store)}


def test_all_pass(tmp_path):
    found = by_name(store_of(tmp_path))
    assert all(bar.passed for bar in found.values()) and len(found) == 3
    assert found["jpeg-50"].values == {3: pytest.approx(10.0)}
    assert found["stale-2"].values == {3: pytest.approx(-25.0)}
    assert found["wrong"].values == {3: pytest.approx(7.5)}
    assert found["wrong"].line().startswith("PASS") and "q3: +7.5 %" in found["wrong"].line()


def test_means_decide_for_lossy_and_stale(tmp_path):
    found = by_name(store_of(tmp_path, jpeg=(0.13, 0.098), stale=(0.5, 0.29)))
    assert found["jpeg-50"].passed and found["stale-2"].passed
    found = by_name(store_of(tmp_path, jpeg=(0.13, 0.11), stale=(0.5, 0.31)))
    assert found["jpeg-50"].passed is False and found["stale-2"].passed is False


def test_one_picture_decides_for_wrong(tmp_path):
    found = by_name(store_of(tmp_path, wrong=((0.2, 0.2), (0.2, 0.45))))["wrong"]
    assert found.passed is False and found.values == {3: pytest.approx(12.5)}
    assert "the worst of 4 pictures, 1 of them above" in found.line() and found.line().startswith("FAIL")


def test_every_quality_counts(tmp_path):
    store = store_of(tmp_path)
    store.add("base", "c", [{"condition": "lossless", "label": "", "quality": 6, "lpips_vgg": 0.1}])
    store.add("side", "c", [{"condition": "jpeg:50", "label": "", "quality": 6, "lpips_vgg": 0.2}])
    bar = by_name(store)["jpeg-50"]
    assert bar.values == {3: pytest.approx(10.0), 6: pytest.approx(100.0)} and bar.passed is False


def test_what_was_not_measured_neither_passes_nor_fails(tmp_path):
    found = bars(Store(tmp_path / "x.json", {}))
    assert [bar.passed for bar in found] == [None] * 3
    assert all(bar.line().startswith("not measured") for bar in found)
