from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.stream_tables import faults, gateway, link, soak


def test_faults() -> None:
    row = {"fault": "test_slow_sink", "captured": 40, "kept_once": 39, "seconds": 1.5}
    lines = faults({"faults": [row, {"fault": "test_x", "rounds": 7, "seconds": 2}]}).splitlines()
    assert lines[2] == "| slow sink | 1 | 40 | 39 | 1.5 |"
    assert lines[3] == "| x | 7 | – | – | 2 |"


def test_gateway_says_what_was_not_held() -> None:
    run = {"vehicles": 5, "frames_a_second": 49.9, "latency_ms": {"p50": 1.0, "p99": 99.0}, "held": False}
    run |= {"server_cores": 0.5, "generator_cores": 0.25}
    assert gateway({"rounds": [run]}).splitlines()[2] == "| 5 | 50 | 1.0 | 99.0 | 0.50 | 0.25 | no |"


def test_link_without_a_frame_in_time() -> None:
    run = {"latency_ms": None, "link": {"utilisation": None}, "in_time_share": 0.0, "delivered_quality": 0.0}
    text = link({"profile": {"name": "tunnel"}, "results": {"auto": run}})
    assert text.splitlines()[2] == "| tunnel | auto | 0.0% | 0.00 | nan | nan | – |"


@pytest.mark.parametrize("name", ["soak", "gateway", "faults"])
def test_the_results_of_the_project(root: Path, name: str) -> None:
    file = root / "benchmarks" / "results" / f"{name}.json"
    document = json.loads(file.read_text())
    text = {"soak": soak, "gateway": gateway, "faults": faults}[name](document)
    assert len(text.splitlines()) > 2
