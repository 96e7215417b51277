"""The `mdic-cloud` command as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloud.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloud", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180
    )


def test_help_needs_neither_torch_nor_grpc() -> None:
    code = (
        "import sys; from cloud.__main__ import parser; parser().format_help(); "
        "print([m for m in ('torch', 'grpc', 'diffusers', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.stdout.strip() == "[]", done.stderr


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    for command in (
        "serve",
        "decode",
        "bundle",
        "train",
        "refine",
        "illuminate",
        "contexts",
        "quantise",
        "export",
    ):
        assert command in text


@pytest.mark.parametrize("arguments", [[], ["fly"], ["decode"], ["serve", "--device", "abacus"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_an_error_is_one_line_and_its_exit_code(tmp_path: Path) -> None:
    arguments = ("decode", str(tmp_path / "none.mdic"), str(tmp_path / "out.png"))
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.mdic'} does not exist\n"
    assert "Traceback" in run(*arguments, "--debug").stderr
