from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def check(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "proto" / "generate.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    for folder in ("proto", "common/pb"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_generated_code_is_current(root: Path) -> None:
    done = check(root)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["proto/ingest.proto", "common/pb/types_pb2.py", "common/pb/ingest_pb2.pyi"])
def test_an_edit_is_noticed(copy: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("\n")
    done = check(copy)
    assert done.returncode == 1
    assert Path(name).name in done.stderr


def test_a_missing_file_is_noticed(copy: Path) -> None:
    (copy / "common/pb/types_pb2.py").unlink()
    assert check(copy).returncode == 1
