"""`make bench`: fake commands as real processes, finished parts kept, broken ones named, lanes and the lonely ones."""

import json

import pytest

from benchmarks.bench import forget_draft
from common.errors import UsageError


def test_results_texts_and_plots_are_kept(make_bench):
    assert (
        make_bench(
            [
                make_bench.part("one"),
                make_bench.part("two", "0", "{out}", pictures=("curve.png", "absent.png")),
            ]
        )
        == 0
    )
    results = make_bench.folder / "results"
    kept = ["bench.json", "one.json", "one.md", "two-curve.png", "two.json", "two.md"]
    assert sorted(p.name for p in results.iterdir()) == kept
    assert (results / "one.md").read_text() == "| a table |\n"
    ledger = make_bench.ledger()
    assert list(ledger["parts"]) == ["one", "two"]
    assert ledger["minutes"] == pytest.approx(sum(p["minutes"] for p in ledger["parts"].values()), abs=0.02)


def test_finished_parts_are_not_run_again_unless_fresh(make_bench, capsys):
    some = [make_bench.part("one"), make_bench.part("two")]
    make_bench(some)
    assert make_bench(some) == 0
    assert (make_bench.runs("one"), make_bench.runs("two")) == (1, 1)
    assert "one: finished before" in capsys.readouterr().err
    make_bench(some, "--fresh", "--only", "two")
    assert (make_bench.runs("one"), make_bench.runs("two")) == (1, 2)
    assert list(make_bench.ledger()["parts"]) == ["one", "two"]


def test_a_failure_stops_nobody_and_is_named_at_the_end(make_bench, capsys):
    assert make_bench([make_bench.part("one", "13"), make_bench.part("two")]) == 1
    assert "failed: one (exit code 13)" in capsys.readouterr().err
    assert list(make_bench.ledger()["parts"]) == ["two"]
    assert not (make_bench.folder / "results" / "one.json").exists()


def test_a_target_that_this_machine_misses_is_a_result(make_bench, capsys):
    assert make_bench([make_bench.part("one", "3"), make_bench.part("two")]) == 0
    assert "one: measured; this machine did not reach" in capsys.readouterr().err
    assert list(make_bench.ledger()["parts"]) == ["one", "two"]
    assert (make_bench.folder / "results" / "one.json").exists()


def test_missing_packages_and_data_are_skips_with_a_line(make_bench, monkeypatch, capsys):
    monkeypatch.delenv("MDIC_DATA", raising=False)
    some = [
        make_bench.part("one", "50"),
        make_bench.part("two", "0", "$MDIC_DATA/test"),
        make_bench.part("three"),
    ]
    assert make_bench(some) == 0
    said = capsys.readouterr().err
    assert "one: skipped, a package" in said and "two: skipped, MDIC_DATA is not set" in said
    assert list(make_bench.ledger()["parts"]) == ["three"]


def test_half_a_result_of_another_bundle_is_forgotten(make_bench, tmp_path):
    draft = tmp_path / "one.json"
    for bundle, fresh, stays in (("b1", False, True), ("b2", False, False), ("b1", True, False)):
        draft.write_text(json.dumps({"bundle": {"id": bundle}}))
        forget_draft(make_bench.part("one"), "b1", tmp_path, fresh)
        assert draft.exists() is stays


def test_in_lanes_each_part_has_its_share_of_the_cores_and_the_timed_ones_are_alone(make_bench):
    some = [make_bench.part("timed", alone=True), make_bench.part("one"), make_bench.part("two")]
    assert make_bench(some) == 0
    spans = {name: make_bench.result(name)["time"] for name in ("timed", "one", "two")}
    assert max(spans["one"][0], spans["two"][0]) < min(spans["one"][1], spans["two"][1]), "not side by side"
    assert spans["timed"][0] > max(spans["one"][1], spans["two"][1]), "timed beside others"
    assert [make_bench.result(name)["threads"] for name in spans] == [None, "1", "1"]
    entries = make_bench.ledger()["parts"]
    assert [entries[name]["lanes"] for name in spans] == [1, 2, 2]


@pytest.mark.parametrize("argv", [["--lanes", "1"], ["--only", "one,timed"]])
def test_one_lane_or_one_part_has_the_whole_machine(make_bench, argv):
    assert make_bench([make_bench.part("one"), make_bench.part("timed", alone=True)], *argv) == 0
    assert make_bench.result("one")["threads"] is None
    assert make_bench.ledger()["parts"]["one"]["lanes"] == 1


def test_what_the_whole_took_is_known_only_when_it_was_made_in_one_go(make_bench):
    some = [make_bench.part("one"), make_bench.part("two")]
    make_bench(some)
    whole = make_bench.ledger()["whole_minutes"]
    assert 0 < whole < 1
    make_bench(some)
    assert make_bench.ledger()["whole_minutes"] == whole
    make_bench(some, "--fresh", "--only", "two")
    assert "whole_minutes" not in make_bench.ledger()


def test_a_lane_shows_the_last_words_of_what_failed(make_bench, capfd):
    make_bench([make_bench.part("one", "13"), make_bench.part("two")])
    said = capfd.readouterr().err
    assert "working on" in said and "one.json" in said and "two.json" not in said


def test_no_lane_is_an_error(make_bench):
    with pytest.raises(UsageError, match="--lanes"):
        make_bench([make_bench.part("one")], "--lanes", "0")
