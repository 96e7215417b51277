"""What a number needs beside it to be believed: machine, commit, versions, command, date."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy", "opencv-python-headless", "torch", "torchvision", "diffusers", "onnxruntime", "lpips",
    "DISTS_pytorch", "av", "pillow", "pillow-jxl-plugin", "scipy",
)  # fmt: skip


HIDDEN_BEHIND = ("MDIC_DATA", "MDIC_METRIC_WEIGHTS", "MDIC_TEACHERS", "MDIC_TRACES")
"""Variables that name folders of this machine: a command is recorded with the variable in the folder's place."""


MISSED = 3
"""Exit code of a benchmark that has measured all it was to measure, and what it measures was not enough."""


def describe_run(command: Iterable[str], seed: int | None = None) -> dict[str, Any]:
    """Return the facts that every result file carries.

    Args:
        command: the program and its arguments as they were given.
        seed: the seed that decided anything random, or None where nothing was.
    """
    return {
        "command": command_text(command),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": seed,
        "machine": machine(),
        "commit": commit(),
        "versions": versions(),
    }


def machine() -> dict[str, Any]:
    """Return processor, core count, memory and accelerator of this machine; no host name."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


_WRITTEN = (":!benchmarks/results", ":!benchmarks/README.md", ":!README.md")


def commit(root: Path | None = None) -> dict[str, Any]:
    """Return `{"hash", "dirty"}` of the checkout; both None where there is no git history to ask.

    Results, and the pages written from them, do not make it dirty: a run of several parts leaves them one by one.
    """
    root = root or Path(__file__).resolve().parents[1]
    head = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--", ".", *_WRITTEN) if head else None
    return {"hash": head or None, "dirty": None if status is None else bool(status)}


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """Return the installed version of each package, None where it is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def command_line(module: str, argv: Iterable[str]) -> list[str]:
    """Return the command as a reader would type it again."""
    return ["python", "-m", module, *argv]


def command_text(command: Iterable[str]) -> str:
    """Return a command quoted for a shell, the folders of `HIDDEN_BEHIND` written as `$VARIABLE`.

    A reader can type it again, and no path of the machine it ran on is published.
    """
    return " ".join(_quoted(word) for word in command)


def _quoted(word: str) -> str:
    for variable in HIDDEN_BEHIND:
        folder = os.environ.get(variable, "").rstrip("/")
        if folder and (word == folder or word.startswith(folder + "/")):
            rest = word[len(folder) :]
            return f"${variable}{rest}" if shlex.quote(rest) in (rest, "''") else f'"${variable}{rest}"'
    return shlex.quote(word)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _gpu_name() -> str | None:
    torch = sys.modules.get("torch")  # ask only where the run already uses torch
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name(0))
