"""The fuzz command: real targets run, their counts are read, crashes are found."""

from __future__ import annotations

import json

import pytest

from benchmarks import fuzz
from common.errors import UsageError

LOG = """INFO: seed corpus: files: 41
#42	INITED cov: 147 ft: 174 corp: 20/589b exec/s: 0 rss: 56Mb
#99	NEW    cov: 150 ft: 200 corp: 21/600b
#1278610	DONE   cov: 183 ft: 305 corp: 64/1818b
stat::number_of_executed_units: 1278610
stat::peak_rss_mb:              56
"""


def test_counts_are_read_from_libfuzzers_output() -> None:
    assert fuzz.read_log(LOG) == {"executions": 1278610, "edges": 183, "edges_of_seeds": 147}
    assert fuzz.read_log("nothing of the kind") == {}


def test_a_short_run_of_a_real_target(tmp_path, capsys) -> None:
    result = tmp_path / "fuzz.json"
    argv = ["--plain", "--runs", "200", "--only", "messages,manifest", "--jobs", "2"]
    assert fuzz.main([*argv, "--out", str(tmp_path / "out"), "--json", str(result)]) == 0
    document = json.loads(result.read_text())
    assert document["mutator"].startswith("plain") and set(document["targets"]) == {"messages", "manifest"}
    for counts in document["targets"].values():
        assert counts["executions"] == 200 and counts["crashes"] == []
    assert "| messages | 200 |" in capsys.readouterr().out


def test_only_inputs_that_broke_something_count_as_crashes(tmp_path) -> None:
    for name in ("crash-1", "oom-2", "log.txt", "timeout-3"):
        (tmp_path / name).touch()
    assert fuzz.crashes(tmp_path) == {"crash-1", "oom-2", "timeout-3"}


def test_a_target_that_cannot_even_start_is_a_crash(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(fuzz, "TARGETS", ("nowhere",))
    assert fuzz.main(["--plain", "--runs", "5", "--out", str(tmp_path)]) == 1
    assert "exit code 2" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--runs", "-1"], ["--jobs", "0"], ["--only", "teapots"]])
def test_nonsense_is_a_usage_error(argv) -> None:
    with pytest.raises(UsageError):
        fuzz.main(argv)
