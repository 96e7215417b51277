"""How much to break: a taste in `make test`, everything in `make faults`; and the account of the whole run."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FAKES = str(Path(__file__).resolve().parents[1] / "fakes")
if FAKES not in sys.path:
    sys.path.insert(0, FAKES)

NOT_NOW = "takes its time: `make faults` runs it"
_ACCOUNT: list[dict[str, object]] = []
_BEGUN = time.time()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[object]:
    """Return a rig of processes that is taken down whatever happens."""
    from fault_rig import Rig

    made = Rig(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """Return a row for the results: the test fills in what was captured and kept."""
    row: dict[str, object] = {"fault": request.node.name}
    begun = time.monotonic()
    yield row
    row["seconds"] = round(time.monotonic() - begun, 1)
    _ACCOUNT.append(row)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long ones to `make faults`."""
    for item in items:
        if item.get_closest_marker("long") and os.environ.get("MDIC_FAULTS") != "full":
            item.add_marker(pytest.mark.skip(reason=NOT_NOW))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the account where `MDIC_FAULTS_JSON` says."""
    place = os.environ.get("MDIC_FAULTS_JSON")
    if not place or not _ACCOUNT:
        return
    from benchmarks.report import describe_run

    facts = {
        "what": "faults injected from outside the processes; durable mode, null engine, images sink",
        **describe_run(["make", "faults"], seed=4),
        "passed": exitstatus == 0,
        "seconds": round(time.time() - _BEGUN),
        "faults": _ACCOUNT,
    }
    Path(place).write_text(json.dumps(facts, indent=1) + "\n")
