"""All benchmarks in turn: fake commands as real processes, finished parts kept, broken ones named."""

import json
import sys
import textwrap

import pytest

from benchmarks import __main__ as commands
from benchmarks import parts
from benchmarks.parts import PARTS, Ledger, Part, forget_draft, main, pick, why_not
from common.errors import UsageError

# Stands in for `python -m benchmarks`: counts its runs beside its JSON, and ends as its first option says.
FAKE = textwrap.dedent(
    """
    import json, pathlib, sys
    command, code, path, *rest = sys.argv[1:]
    count = pathlib.Path(path + ".runs")
    count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
    if code == "0":
        pathlib.Path(path).write_text(json.dumps({"complete": True, "command": f"python -m benchmarks {command}"}))
        if rest:
            (pathlib.Path(rest[0]) / "curve.png").write_bytes(b"png")
        print("| a table |")
    sys.exit(int(code))
    """
)


def part(name, code="0", *more, **fields):
    return Part(name, "encode", (code, "{json}", *more), 1.0, **fields)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run `main` on a list of parts, in a folder of its own."""
    (tmp_path / "fake.py").write_text(FAKE)
    real = parts.subprocess.run

    def run(words, **options):
        assert words[:3] == [sys.executable, "-m", "benchmarks"]
        return real([sys.executable, str(tmp_path / "fake.py"), *words[3:]], **options)

    monkeypatch.setattr(parts.subprocess, "run", run)
    monkeypatch.setattr(parts.report, "describe_run", lambda *_: {
        "commit": {"hash": "abc", "dirty": False}, "machine": {"cores": 2}, "date": "2026-01-01"})  # fmt: skip
    monkeypatch.setattr(parts, "_bundle_id", lambda: "b1")

    def go(some, *argv):
        monkeypatch.setattr(parts, "PARTS", tuple(some))
        places = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "out")]
        return main([*places, "--no-tables", *argv])

    go.folder = tmp_path
    go.runs = lambda name: int((tmp_path / "out" / f"{name}.json.runs").read_text())
    go.ledger = lambda: json.loads((tmp_path / "results" / "bench.json").read_text())
    return go


def test_results_texts_and_plots_are_kept(bench):
    assert bench([part("one"), part("two", "0", "{out}", pictures=("curve.png", "absent.png"))]) == 0
    results = bench.folder / "results"
    kept = ["bench.json", "one.json", "one.md", "two-curve.png", "two.json", "two.md"]
    assert sorted(p.name for p in results.iterdir()) == kept
    assert (results / "one.md").read_text() == "| a table |\n"
    ledger = bench.ledger()
    assert list(ledger["parts"]) == ["one", "two"]
    assert ledger["minutes"] == pytest.approx(sum(p["minutes"] for p in ledger["parts"].values()), abs=0.02)


def test_finished_parts_are_not_run_again_unless_fresh(bench, capsys):
    some = [part("one"), part("two")]
    bench(some)
    assert bench(some) == 0
    assert (bench.runs("one"), bench.runs("two")) == (1, 1)
    assert "[1/2] one: finished before" in capsys.readouterr().err
    bench(some, "--fresh", "--only", "two")
    assert (bench.runs("one"), bench.runs("two")) == (1, 2)
    assert list(bench.ledger()["parts"]) == ["one", "two"]


@pytest.mark.parametrize("change", ["command", "bundle", "result"])
def test_a_part_made_otherwise_is_run_again(bench, monkeypatch, change):
    bench([part("one")])
    again = part("one")
    if change == "command":
        again = part("one", "0", "{out}")
    elif change == "bundle":
        monkeypatch.setattr(parts, "_bundle_id", lambda: "b2")
    else:
        (bench.folder / "results" / "one.json").write_text("{}")
    bench([again])
    assert bench.runs("one") == 2


def test_what_the_restorer_touches_is_run_again_when_it_changes(bench, monkeypatch):
    some = [part("lossless"), part("lossy", restores=True)]
    monkeypatch.setattr(parts, "_restorer_id", lambda: "r1")
    assert bench(some) == bench(some) == 0
    assert bench.runs("lossless") == bench.runs("lossy") == 1
    entries = bench.ledger()["parts"]
    assert entries["lossy"]["restorer"] == "r1" and "restorer" not in entries["lossless"]
    monkeypatch.setattr(parts, "_restorer_id", lambda: "r2")
    assert bench(some) == 0
    assert (bench.runs("lossless"), bench.runs("lossy")) == (1, 2)


def test_the_restorer_has_an_id():
    assert len(parts._restorer_id()) == 16


def test_a_failure_stops_nobody_and_is_named_at_the_end(bench, capsys):
    assert bench([part("one", "13"), part("two")]) == 1
    assert "failed: one (exit code 13)" in capsys.readouterr().err
    assert list(bench.ledger()["parts"]) == ["two"]
    assert not (bench.folder / "results" / "one.json").exists()


def test_missing_packages_and_data_are_skips_with_a_line(bench, monkeypatch, capsys):
    monkeypatch.delenv("MDIC_DATA", raising=False)
    some = [part("one", "50"), part("two", "0", "$MDIC_DATA/test"), part("three")]
    assert bench(some) == 0
    said = capsys.readouterr().err
    assert "one: skipped, a package" in said and "two: skipped, MDIC_DATA is not set" in said
    assert list(bench.ledger()["parts"]) == ["three"]


def test_why_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MDIC_DATA", str(tmp_path))
    needing = part("one", "0", "$MDIC_DATA/test")
    assert why_not(needing) == "$MDIC_DATA/test is not there"
    (tmp_path / "test").mkdir()
    assert why_not(needing) == ""
    assert needing.arguments(tmp_path / "x.json", tmp_path)[-1] == f"{tmp_path}/test"
    monkeypatch.setitem(commands.COMMANDS, "nowhere", ("benchmarks.nowhere.run", ""))
    assert "not in this checkout" in why_not(Part("x", "nowhere", (), 1.0))


def test_half_a_result_of_another_bundle_is_forgotten(tmp_path):
    draft = tmp_path / "one.json"
    for bundle, fresh, stays in (("b1", False, True), ("b2", False, False), ("b1", True, False)):
        draft.write_text(json.dumps({"bundle": {"id": bundle}}))
        forget_draft(part("one"), "b1", tmp_path, fresh)
        assert draft.exists() is stays


def test_a_damaged_ledger_is_an_empty_one(tmp_path):
    (tmp_path / "bench.json").write_text("{")
    assert Ledger.read(tmp_path / "bench.json").parts == {}


def test_parts_are_picked_by_name(capsys):
    assert [p.name for p in pick("geometry, rd-full")] == ["rd-full", "geometry"]
    with pytest.raises(UsageError, match="rd-fuller"):
        pick("rd-fuller")
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PARTS)


def test_every_part_is_a_command_that_its_benchmark_understands(monkeypatch, tmp_path):
    """The real parts' options parse; a benchmark that this checkout lacks is left out."""
    import argparse

    class Parsed(Exception):
        pass

    def parse(parser, *args, **options):
        original(parser, *args, **options)
        raise Parsed

    original = argparse.ArgumentParser.parse_args
    monkeypatch.setenv("MDIC_DATA", str(tmp_path))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    present = [p for p in PARTS if commands.is_there(commands.COMMANDS[p.command][0])]
    assert {"rd", "geometry", "encode", "demo"} <= {p.command for p in present}
    for one in present:
        with pytest.raises(Parsed):
            commands.main(one.arguments(tmp_path / "x.json", tmp_path))


def test_the_whole_is_planned_to_fit_into_its_hour():
    assert len({p.name for p in PARTS}) == len(PARTS)
    assert sum(p.minutes for p in PARTS) <= parts.MINUTES_ALLOWED
