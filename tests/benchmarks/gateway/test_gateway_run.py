"""The gateway command: what counts as held, and a small load on a real server."""

from __future__ import annotations

import json

import pytest

from benchmarks.gateway import run
from benchmarks.report import MISSED
from common.errors import StreamError, UsageError

LOAD = run.Load(vehicles=4, hz=10.0, processes=2, warm_up_s=1.0, seconds=5.0, seed=1)
SERVER = {"cpu_s": 1.0, "rss_mib": 80, "descriptors": 20, "threads": 10, "seconds": 7.0}


def result(**changes):
    fine = {
        "sent": 100,
        "latency_ms": [5.0] * 99 + [49.0],
        "late_ms": [0.5] * 100,
        "statuses": {"decoded": 120},
        "unanswered": 0,
        "broken": [],
        "cpu_s": 0.5,
    }
    return fine | changes


def test_a_load_whose_every_ack_comes_in_time_is_held() -> None:
    numbers = run.summary(LOAD, [result(), result()], SERVER)
    assert numbers["held"] and numbers["frames"] == 200 and numbers["frames_a_second"] == 40.0
    assert numbers["latency_ms"]["p50"] == 5.0 and numbers["latency_ms"]["max"] == 49.0
    assert (numbers["server_cores"], numbers["generator_cores"]) == (0.2, 0.2)
    assert run.row(numbers).startswith("| 4 | 40 | 5.0 |") and run.row(numbers).endswith("| yes |")


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_ms": [5.0] * 90 + [60.0] * 10},
        {"statuses": {"decoded": 119, "dropped": 1}},
        {"unanswered": 1},
        {"broken": ["load0-1: connection lost"]},
        {"sent": 90},
    ],
)
def test_a_load_is_not_held_when_anything_is_amiss(changes) -> None:
    assert not run.summary(LOAD, [result(), result(**changes)], SERVER)["held"]


def test_a_load_without_answers_is_not_held() -> None:
    nothing = result(latency_ms=[], late_ms=[], sent=0, statuses={})
    assert not run.summary(LOAD, [nothing, nothing], SERVER)["held"]


@pytest.mark.parametrize(
    "argv", [["--vehicles", "0"], ["--vehicles", "9999"], ["--hz", "0"], ["--seconds", "-1"]]
)
def test_nonsense_is_a_usage_error(argv) -> None:
    with pytest.raises(UsageError):
        run.main(argv)


def test_a_small_load_on_a_real_server(tmp_path, capsys) -> None:
    path = tmp_path / "gateway.json"
    argv = ["--vehicles", "3", "--processes", "2", "--seconds", "1.5", "--warm-up", "0.5", "--side"]
    code = run.main([*argv, "--json", str(path)])  # whether it is held depends on what else the machine does
    document = json.loads(path.read_text())
    (numbers,) = document["rounds"]
    assert numbers["unanswered"] == 0 and not numbers["broken"] and set(numbers["statuses"]) == {"decoded"}
    assert 40 <= numbers["frames"] <= 50
    assert numbers["latency_ms"]["p50"] > 0 and numbers["server"]["rss_mib"] > 10
    assert (code, document["largest_held"]) in ((0, 3), (MISSED, 0))
    assert "| vehicles |" in capsys.readouterr().out


def test_a_server_that_does_not_start_is_one_clear_error() -> None:
    with pytest.raises(StreamError, match="before it listened"):
        run.run_load(LOAD, ["--no-such-option"])
