"""The ledger: what is kept, and what has to be made again."""

import pytest

from benchmarks import bench, ledger
from benchmarks.ledger import Ledger


@pytest.mark.parametrize("change", ["command", "bundle", "result"])
def test_a_part_made_otherwise_is_run_again(make_bench, monkeypatch, change):
    make_bench([make_bench.part("one")])
    again = make_bench.part("one")
    if change == "command":
        again = make_bench.part("one", "0", "{out}")
    elif change == "bundle":
        monkeypatch.setattr(bench, "bundle_id", lambda: "b2")
    else:
        (make_bench.folder / "results" / "one.json").write_text("{}")
    make_bench([again])
    assert make_bench.runs("one") == 2


def test_what_the_restorer_touches_is_run_again_when_it_changes(make_bench, monkeypatch):
    some = [make_bench.part("lossless"), make_bench.part("lossy", restores=True)]
    monkeypatch.setattr(ledger, "_restorer_id", lambda: "r1")
    assert make_bench(some) == make_bench(some) == 0
    assert make_bench.runs("lossless") == make_bench.runs("lossy") == 1
    entries = make_bench.ledger()["parts"]
    assert entries["lossy"]["restorer"] == "r1" and "restorer" not in entries["lossless"]
    monkeypatch.setattr(ledger, "_restorer_id", lambda: "r2")
    assert make_bench(some) == 0
    assert (make_bench.runs("lossless"), make_bench.runs("lossy")) == (1, 2)


def test_the_restorer_has_an_id():
    assert len(ledger._restorer_id()) == 16


def test_a_damaged_ledger_is_an_empty_one(tmp_path):
    (tmp_path / "bench.json").write_text("{")
    assert Ledger.read(tmp_path / "bench.json").parts == {}
