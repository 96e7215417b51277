"""The demo's processes: found address, kept logs, clear errors; real processes, none of them heavy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.demo.processes import Cloud, last_lines, stream
from common.errors import StreamError

# Stands in for `python -m cloud serve`: announces an address, leaves on SIGTERM with a code of its own.
FAKE_CLOUD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("loading 127.0.0.1:0", flush=True)
print("listening on 127.0.0.1:43210", " ".join(sys.argv[1:]), flush=True)
time.sleep(60)
"""
FAKE_EDGE = """
import sys
print("noise")
print('{"fps": 1.5, "arguments": ' + str(len(sys.argv)) + '}')
"""


def package(root: Path, name: str, main: str) -> None:
    (root / name).mkdir()
    (root / name / "__init__.py").touch()
    (root / name / "__main__.py").write_text(main)


def test_cloud_announces_and_stops(tmp_path: Path) -> None:
    package(tmp_path, "cloud", FAKE_CLOUD)
    with Cloud(["--sink", "images:x"], tmp_path, tmp_path / "cloud.log") as cloud:
        assert cloud.address() == "127.0.0.1:43210"
    assert cloud.exit_code == 3
    assert "serve --listen 127.0.0.1:0 --sink images:x" in (tmp_path / "cloud.log").read_text()


def test_cloud_that_ends_at_once_is_an_error_with_its_words(tmp_path: Path) -> None:
    package(tmp_path, "cloud", "import sys; print('error: no bundle here'); sys.exit(31)")
    with (
        pytest.raises(StreamError, match="no bundle here"),
        Cloud([], tmp_path, tmp_path / "cloud.log") as cloud,
    ):
        cloud.address()


def test_stream_returns_the_objects(tmp_path: Path) -> None:
    package(tmp_path, "edge", FAKE_EDGE)
    assert stream(["--a"], tmp_path, tmp_path / "edge.log", 60) == [{"fps": 1.5, "arguments": 4}]


def test_edge_that_fails_is_an_error_with_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "edge", "import sys; print('error: no camera', file=sys.stderr); sys.exit(45)")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with pytest.raises(StreamError, match=r"exit code 45: error: no camera"):
        stream([], tmp_path, tmp_path / "edge.log", 60)


def test_edge_that_hangs_is_ended(tmp_path: Path) -> None:
    package(tmp_path, "edge", "import time; time.sleep(60)")
    with pytest.raises(StreamError, match="did not finish within 1 s"):
        stream([], tmp_path, tmp_path / "edge.log", 1)


def test_last_lines_of_no_log(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none") == "(no log)"
