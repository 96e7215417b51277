from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import SpoolError
from common.stream.sender import Settled
from edge.__main__ import main
from edge.spool import Spool, SpoolFormat, SpoolFrame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spool = Spool(tmp_path / "spool", 1 << 20)
    form = spool.format_id(SpoolFormat(1, "00" * 8, 64, 96, 64, 96, 2))
    spool.append(form, [SpoolFrame(n, 0, n, b"packet", b"side") for n in range(4)])
    spool.set_base(20)
    spool.settle(Settled(below=1))
    spool.close()
    return tmp_path / "spool"


def test_json(folder: Path, capsys) -> None:
    assert main(["spool", "--spool", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["captured"], told["pending"], told["oldest_seq"], told["base_seq"]) == (4, 3, 21, 20)
    assert told["bytes"] > 0 and told["oldest_age_s"] >= 0 and "ledger" not in told


def test_ledger(folder: Path, capsys) -> None:
    assert main(["spool", "--spool", str(folder), "--ledger", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["ledger"]
    assert [(row["seq"], row["state"]) for row in rows] == [
        (20, "kept"),
        (21, "pending"),
        (22, "pending"),
        (23, "pending"),
    ]
    assert all(len(row["sha256"]) == 64 and row["bytes"] == 6 for row in rows)


def test_text(folder: Path, capsys) -> None:
    assert main(["spool", "--spool", str(folder), "--ledger"]) == 0
    text = capsys.readouterr().out
    assert (
        "4 captured" in text and "3 frames wait" in text and "frame 21" in text and text.count("pending") == 3
    )


def test_while_a_stream_uses_it(folder: Path, capsys) -> None:
    spool = Spool(folder, 1 << 20)
    assert main(["spool", "--spool", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pending"] == 3
    spool.close()


def test_no_spool(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="none"):
        main(["spool", "--spool", str(tmp_path / "nothing")])
