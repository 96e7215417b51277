from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.__main__ import main


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["encode"], ["stream", "--camera", "x"], ["encode", "a", "b", "--zoom"]]
)
def test_usage_errors_exit_with_2(argv: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: mdic-edge" in capsys.readouterr().err


def test_help_names_the_commands(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(command in told for command in ("encode", "stream", "doctor"))


def program(root: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *argv]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def test_program_prints_one_line_and_the_code(root: Path) -> None:
    done = program(root, "encode", "/nowhere.png", "/tmp/x.mdic")
    assert done.returncode == 11
    assert done.stderr == "error: cannot read image /nowhere.png: no such file or folder\n"
    assert done.stdout == ""


def test_debug_shows_the_traceback(root: Path) -> None:
    done = program(root, "encode", "/nowhere.png", "/tmp/x.mdic", "--debug")
    assert done.returncode == 11
    assert "Traceback" in done.stderr
