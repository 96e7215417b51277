"""Every module has a test file of its own name, in the same room."""

from __future__ import annotations

from pathlib import Path

import pytest

# Modules without a test file of their own; each line says where the module is tested instead.
EXCEPTIONS: dict[str, str] = {}


def modules(root: Path, room: str) -> list[Path]:
    found = sorted((root / room).rglob("*.py"))
    return [p for p in found if p.name != "__init__.py" and "pb" not in p.relative_to(root).parts]


def has_test(root: Path, module: Path) -> bool:
    """Tell whether tests/<room>/ holds test_<module>.py or test_<folder>_<module>.py, at any depth."""
    inside = module.relative_to(root)
    stem = inside.stem.strip("_")
    names = {f"test_{stem}.py", f"test_{inside.parent.name}_{stem}.py"}
    return any(path.name in names for path in (root / "tests" / inside.parts[0]).rglob("test_*.py"))


@pytest.mark.parametrize("room", ["common", "edge", "cloud"])
def test_every_module_has_its_test_file(root: Path, room: str) -> None:
    missing = [
        str(module.relative_to(root))
        for module in modules(root, room)
        if str(module.relative_to(root)) not in EXCEPTIONS and not has_test(root, module)
    ]
    assert not missing


def test_exceptions_are_still_needed(root: Path) -> None:
    for name in EXCEPTIONS:
        assert (root / name).is_file(), f"{name} is gone: take it off the list"
        assert not has_test(root, root / name), f"{name} has a test file now: take it off the list"
