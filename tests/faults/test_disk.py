"""Disks that are full or slow, a clock that jumps, a cloud that comes back with another bundle."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_rig import ROOT, Rig

from common.bundle import DEFAULT_BUNDLE, find


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """Mount a file system of its own with so much room, or skip: it takes root."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_sink_on_a_full_disk(rig: Rig, account: dict[str, object]) -> None:
    with small_disk(rig.folder / "disk", 512) as disk:
        rig.sink = disk / "sink"
        filler = disk / "filler"
        filler.write_bytes(bytes(400 << 10))
        rig.cloud()
        edge = rig.edge("--timeout", "60", fps=50)
        time.sleep(5)
        held = len(rig.index())
        assert edge.running and held < rig.frames, (held, edge.told())
        filler.unlink()
        assert edge.wait() == 0, edge.told()
        account.update(kept_before_there_was_room=held, captured=len(rig.captured()), kept_once=rig.settle())
        assert rig.settle() == rig.frames


def test_spool_on_a_full_disk(rig: Rig, account: dict[str, object]) -> None:
    """No cloud, no room: what was captured while there was room is kept, the rest is counted, nothing breaks."""
    with small_disk(rig.folder / "disk", 4096) as disk:
        rig.spool = disk / "spool"
        (disk / "filler").write_bytes(bytes(1500 << 10))
        edge = rig.edge("--timeout", "3", "--side-codec", "webp", fps=50)
        code = edge.wait()
        assert code in (41, 40), edge.told()
        kept = len(rig.captured())
        assert 0 < kept < rig.frames, kept
        rig.cloud()
        again = rig.edge("--timeout", "60", "--side-codec", "webp", fps=50)
        assert again.wait() == 0, again.told()
        account.update(captured=len(rig.captured()), kept_once=rig.settle(), before_the_disk_was_full=kept)


def test_spool_limit_is_kept(rig: Rig) -> None:
    """`--spool-bytes` bounds the folder, whatever the camera gives."""
    limit = 200_000
    edge = rig.edge("--timeout", "3", "--spool-bytes", str(limit), "--side-codec", "webp", fps=50)
    assert edge.wait() != 0
    size = sum(file.stat().st_size for file in rig.spool.rglob("*"))
    assert size < 2 * limit + (1 << 20), size
    rig.cloud()
    again = rig.edge("--timeout", "60", "--side-codec", "webp", fps=50)
    assert again.wait() == 0, again.told()
    rig.settle()


SLOW = """
import os, time
_fsync = os.fsync
def fsync(descriptor):
    time.sleep(0.15)
    _fsync(descriptor)
os.fsync = os.fdatasync = fsync
"""

JUMP = """
import os, time
_begun, _time, _time_ns = time.monotonic(), time.time, time.time_ns
def _shift():
    return {shift} * 3600 if time.monotonic() - _begun > {after} else 0
time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + _shift() * 10**9
"""


def patched(folder: Path, code: str) -> dict[str, str]:
    """Return an environment whose Python runs `code` first: the fault reaches the process from outside."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


def test_slow_sink(rig: Rig, account: dict[str, object]) -> None:
    rig.cloud(environment=patched(rig.folder / "slow", SLOW))
    edge = rig.edge("--timeout", "60", fps=50)
    assert edge.wait(180) == 0, edge.told()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


@pytest.mark.parametrize("shift", [-1, 1])
def test_clock_jumps_an_hour(rig: Rig, account: dict[str, object], shift: int) -> None:
    """The edge's wall clock and the capture times jump amid the stream."""
    stamps = [
        10**9 * 1000 + 10**8 * i + (3600 * shift * 10**9 if i > rig.frames // 2 else 0)
        for i in range(rig.frames)
    ]
    text = "".join(f"{t // 10**9}.{t % 10**9:09d}\n" for t in stamps)
    (rig.drive / "timestamps.txt").write_text(text)
    rig.cloud()
    edge = rig.edge(
        "--timeout", "60", environment=patched(rig.folder / "jump", JUMP.format(shift=shift, after=3)), fps=10
    )
    assert edge.wait() == 0, edge.told()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames


def test_cloud_comes_back_with_another_bundle(rig: Rig, account: dict[str, object]) -> None:
    other = rig.folder / "other"
    shutil.copytree(find(DEFAULT_BUNDLE), other)
    manifest = other / "manifest.toml"
    manifest.write_text(manifest.read_text() + "\n# another id\n")
    cloud = rig.cloud("--bundle", DEFAULT_BUNDLE)
    edge = rig.edge("--timeout", "90", fps=10)
    time.sleep(3)
    cloud.signal(signal.SIGTERM)
    assert cloud.wait() == 0, cloud.told()
    before = len(rig.index())
    cloud = rig.cloud("--bundle", str(other))
    time.sleep(4)
    assert len(rig.index()) == before, "frames of the old bundle went to a cloud that cannot decode them"
    assert edge.running, edge.told()
    cloud.signal(signal.SIGTERM)
    cloud.wait()
    rig.cloud("--bundle", DEFAULT_BUNDLE)
    assert edge.wait() == 0, edge.told()
    account.update(captured=len(rig.captured()), kept_once=rig.settle())
    assert rig.settle() == rig.frames
