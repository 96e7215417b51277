"""The import rules: common knows nobody, edge and cloud not each other, the edge runs without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Imports every module of a package while the named packages are made impossible to import.
BLOCKED_IMPORT = textwrap.dedent(
    """
    import importlib, pkgutil, sys

    blocked, packages, skipped = (set(filter(None, part.split(","))) for part in sys.argv[1:4])

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in blocked:
                raise ImportError(f"{name} is blocked here")
            return None

    sys.meta_path.insert(0, Blocker())
    count = 0
    for package_name in sorted(packages):
        package = importlib.import_module(package_name)
        for module in pkgutil.walk_packages(package.__path__, package_name + "."):
            if any(module.name.startswith(prefix) for prefix in skipped) or module.name.endswith(".__main__"):
                continue
            importlib.import_module(module.name)
            count += 1
        importlib.import_module(package_name + ".__main__") if package_name == "edge" else None
    assert not blocked & set(sys.modules), blocked & set(sys.modules)
    print(count)
    """
)


def import_all(
    root: Path, packages: str, blocked: str, skipped: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED_IMPORT, blocked, packages, skipped],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_edge_and_common_import_without_torch(root: Path) -> None:
    done = import_all(root, "common,edge", "torch,torchvision,diffusers,lpips,cloud,benchmarks")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_common_imports_without_the_extras(root: Path) -> None:
    done = import_all(
        root, "common", "torch,diffusers,onnxruntime,onnx,grpc,av,edge,cloud,matplotlib", "common.pb"
    )
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks(root: Path) -> None:
    done = import_all(root, "cloud", "torch")
    assert done.returncode != 0
    assert "torch is blocked here" in done.stderr


def test_import_contracts_hold(root: Path) -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed (it comes with the dev extra)")
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "pyproject.toml"], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imported_names(path: Path) -> set[str]:
    """Return the top-level names of every module a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def sources(root: Path, *rooms: str) -> list[Path]:
    return [p for room in rooms for p in sorted((root / room).rglob("*.py")) if "pb" not in p.parts]


def test_common_touches_no_network(root: Path) -> None:
    network = {"socket", "ssl", "asyncio", "http", "urllib", "grpc", "aiohttp", "requests"}
    found = {str(p.relative_to(root)): imported_names(p) & network for p in sources(root, "common")}
    assert not {path: names for path, names in found.items() if names}


def test_nobody_pickles(root: Path) -> None:
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    found = {
        str(p.relative_to(root)): imported_names(p) & unsafe for p in sources(root, "common", "edge", "cloud")
    }
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize("folder", ["tests", "proto"])
def test_folders_that_must_not_be_packages(root: Path, folder: str) -> None:
    # `proto` would shadow proto-plus; a package tests/edge would be imported under the name `edge`.
    assert not list((root / folder).rglob("__init__.py"))
