from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.link import run as link_run
from common.errors import UsageError


def plan(*words: str) -> link_run.Plan:
    return link_run.make_plan(link_run._parser().parse_args(list(words)))


def test_defaults() -> None:
    made = plan("--profile", "lte", "--shaper", "tun")
    assert (made.profile, made.trace, made.seed, made.side, made.netem) == ("lte", None, 1, "jpeg:10", False)


def test_a_bare_trace_name_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.up").write_text("1\n")
    monkeypatch.setenv("MDIC_TRACES", str(tmp_path))
    for words in (["--profile", "trace:some.up"], ["--profile", "trace", "--trace", "some.up"]):
        assert plan(*words).trace == tmp_path / "some.up"


@pytest.mark.parametrize(
    "words",
    [
        ["--seconds", "0"], ["--seconds", "1e9"], ["--seconds", "nan"], ["--fps", "0"], ["--deadline-ms", "1"],
        ["--seed", "-1"], ["--street", "0"],
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        plan("--profile", "lte", *words)


def test_netem_replays_no_traces() -> None:
    with pytest.raises(UsageError, match="netem"):
        plan("--profile", "trace:x.up", "--shaper", "netem")


def test_without_root_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match=r"root|Linux"):
        link_run.main(["--profile", "lte", "--shaper", "tun"])


@pytest.mark.slow
@pytest.mark.usefixtures("namespaces_allowed")
def test_a_real_run_over_a_thin_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(link_run, "CACHE", tmp_path)
    words = ["--profile", "64k", "--seconds", "8", "--policy", "auto", "--side", "none", "--street", "3"]
    words += ["--camera", "synthetic:3:64x128", "--shaper", "tun", "--json", str(tmp_path / "64k.json")]
    assert link_run.main(words) == 0
    facts = json.loads((tmp_path / "64k.json").read_text())
    result = facts["results"]["auto"]
    assert result["captured"] == 80
    assert result["in_time"] > 70
    assert 100 < result["latency_ms"]["p50"] < 400
    assert 0.01 < result["link"]["utilisation"] < 1
    assert (tmp_path / "64k.png").is_file()
    assert "| auto |" in capsys.readouterr().out
