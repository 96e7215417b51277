"""What `make bench` runs: every part is a real command, and the whole fits into its hour."""

import pytest

from benchmarks import __main__ as commands
from benchmarks import bench
from benchmarks.parts import MINUTES_ALLOWED, PARTS, Part, pick, why_not
from common.errors import UsageError


def test_why_not(monkeypatch, tmp_path):
    monkeypatch.setenv("MDIC_DATA", str(tmp_path))
    needing = Part("one", "encode", ("0", "{json}", "$MDIC_DATA/test"), 1.0)
    assert why_not(needing) == "$MDIC_DATA/test is not there"
    (tmp_path / "test").mkdir()
    assert why_not(needing) == ""
    assert needing.arguments(tmp_path / "x.json", tmp_path)[-1] == f"{tmp_path}/test"
    monkeypatch.setitem(commands.COMMANDS, "nowhere", ("benchmarks.nowhere.run", ""))
    assert "not in this checkout" in why_not(Part("x", "nowhere", (), 1.0))


def test_parts_are_picked_by_name(capsys):
    assert [p.name for p in pick("geometry, rd-full")] == ["rd-full", "geometry"]
    with pytest.raises(UsageError, match="rd-fuller"):
        pick("rd-fuller")
    assert bench.main(["--list"]) == 0
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
    assert sum(p.minutes for p in PARTS) <= MINUTES_ALLOWED
