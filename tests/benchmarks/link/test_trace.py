from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.link.trace import read_trace
from common.errors import InputError


def test_a_trace_is_read(tmp_path: Path) -> None:
    file = tmp_path / "some.up"
    file.write_text("0\n3\n3\n10\n")
    assert read_trace(file) == (0, 3, 3, 10)


@pytest.mark.parametrize("text", ["", "0\n0\n", "5\n4\n", "1\nx\n", "-1\n", "1.5\n", "9" * 30, "\u0661\n"])
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.up"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_trace(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path / "none.up")


def test_recorded_traces_are_read() -> None:
    folder = os.environ.get("MDIC_TRACES")
    if not folder:
        pytest.skip("MDIC_TRACES names no folder of mahimahi traces")
    files = sorted(Path(folder).glob("*.up"))
    assert files
    for file in files:
        assert len(read_trace(file)) > 1000
