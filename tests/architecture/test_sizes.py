"""No source file over 400 lines: a file is one noun, and can be read in one sitting."""

from __future__ import annotations

from pathlib import Path

LIMIT_LINES = 400
ROOMS = ("benchmarks", "cloud", "common", "docs", "edge", "proto", "tests")


def python_files(root: Path) -> list[Path]:
    generated = root / "common" / "pb"
    return [
        path
        for room in ROOMS
        for path in sorted((root / room).rglob("*.py"))
        if generated not in path.parents
    ]


def test_no_file_is_too_long(root: Path) -> None:
    lengths = {str(p.relative_to(root)): len(p.read_text("utf-8").splitlines()) for p in python_files(root)}
    assert len(lengths) > 30
    assert not {path: lines for path, lines in lengths.items() if lines > LIMIT_LINES}
