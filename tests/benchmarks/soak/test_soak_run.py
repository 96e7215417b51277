"""The soak command: a small one with a real server and a real client, and what fails it."""

from __future__ import annotations

import json

import pytest

from benchmarks.soak import run
from benchmarks.soak.verdict import Sample
from common.errors import StreamError, UsageError

FLAT = [Sample(frames, 1000, 20, 10, 40) for frames in range(0, 100, 2)]


def outcome(**changes):
    fine = {
        "counts": {"sent": 100, "sides": 0, "statuses": {"decoded": 100}, "connections": 2},
        "samples": {"server": FLAT, "client": FLAT},
        "totals": {"received": 100, "decoded": 100},
    }
    return fine | changes


def test_all_decoded_and_nothing_grown_passes() -> None:
    assert run.judged(outcome(), 100)["passed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": {"sent": 100, "statuses": {"decoded": 99, "dropped": 1}}},
        {"counts": {"sent": 99, "statuses": {"decoded": 100}}},
        {"totals": {"received": 99, "decoded": 99}},
        {"samples": {"server": [Sample(f, 1000 + 10 * f, 20, 10) for f in range(0, 100, 2)], "client": FLAT}},
        {"samples": {"server": FLAT, "client": FLAT[:3]}},
    ],
)
def test_anything_amiss_fails(changes) -> None:
    judged = run.judged(outcome(**changes), 100)
    assert not judged["passed"] and judged["problems"]


def test_a_small_soak_with_reconnects_side_views_and_a_sink(tmp_path, capsys) -> None:
    argv = [
        "--frames",
        "600",
        "--vehicles",
        "2",
        "--side-vehicles",
        "1",
        "--reconnect",
        "150",
        "--every",
        "0.03",
    ]
    argv += ["--sink", f"images:{tmp_path / 'kept'}", "--json", str(tmp_path / "soak.json")]
    run.main(
        [*argv, "--plot", str(tmp_path / "soak.png")]
    )  # so short a run may end before it stops warming up
    document = json.loads((tmp_path / "soak.json").read_text())
    assert document["counts"]["statuses"] == {"decoded": 600}
    assert document["counts"]["connections"] >= 4 and document["counts"]["sides"] > 50
    assert document["server_totals"]["decoded"] == 600
    assert any(sample["tasks"] for sample in document["samples"]["server"])
    assert (tmp_path / "soak.png").stat().st_size > 5000
    assert len(list((tmp_path / "kept").rglob("*.mdic"))) == 600
    assert "600 frames of 2 vehicles" in capsys.readouterr().out


def test_a_server_that_does_not_start_is_an_error() -> None:
    options = run._parser().parse_args(["--frames", "10", "--sink", "teapot:x"])
    with pytest.raises(StreamError, match="before it listened"):
        run.soak(options)


@pytest.mark.parametrize("argv", [["--frames", "0"], ["--side-vehicles", "9"], ["--every", "0"]])
def test_nonsense_is_a_usage_error(argv) -> None:
    with pytest.raises(UsageError):
        run.main(argv)
