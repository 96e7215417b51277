"""The fuzz targets on their committed inputs and on some thousand random ones; the harness notices defects."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

import pytest

from common.errors import ProtocolViolation

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
harness = importlib.import_module("harness")
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))
MAX_CORPUS_BYTES = 200_000


def target(name: str):
    if name == "imageheader":
        pytest.importorskip("cv2")
    return importlib.import_module(f"fuzz_{name}")


def options(out: Path, runs: int) -> argparse.Namespace:
    return argparse.Namespace(seconds=0, runs=runs, seed=5, out=out)


def test_there_are_four_targets() -> None:
    assert TARGETS == ["bitstream", "imageheader", "manifest", "messages"]
    assert (
        sum(path.stat().st_size for path in (HERE / "corpus").rglob("*") if path.is_file()) < MAX_CORPUS_BYTES
    )


@pytest.mark.parametrize("name", TARGETS)
def test_every_committed_input_is_accepted_or_refused_with_a_documented_error(name: str) -> None:
    module = target(name)
    assert name == module.NAME
    answers = [module.run(data) for data in harness.seeds(name)]
    assert sum(answers) >= 2
    assert any(module.run(data[: len(data) // 2]) is False for data in harness.seeds(name))


@pytest.mark.parametrize("name", TARGETS)
def test_random_changes_of_the_inputs_break_nothing(name: str, tmp_path: Path) -> None:
    guard = harness.Guard(target(name).run, tmp_path / "stats.json")
    harness.plain(guard, harness.seeds(name), options(tmp_path, 1500))
    assert guard.executions == 1500
    assert 0 < guard.accepted < 1500
    assert (tmp_path / "stats.json").is_file()


def test_the_bitstream_target_gets_past_the_checksums() -> None:
    module = target("bitstream")
    vectors = HERE.parents[0] / "vectors" / "v1"
    whole = (vectors / "tiny-q4.bin").read_bytes()
    damaged = whole[:-1] + bytes((whole[-1] ^ 1,))
    assert module.run(bytes((module.CONTAINER,)) + whole)
    sealed = module.seal_container(damaged)
    assert sealed != damaged and sealed[26:27] == whole[26:27]
    module.Container.parse(sealed).parse_packet()


def test_an_undocumented_error_is_a_crash_and_its_input_is_kept(tmp_path: Path) -> None:
    def broken(data: bytes) -> bool:
        if len(data) > 3:
            raise IndexError("a defect")
        return True

    with pytest.raises(IndexError):
        harness.plain(harness.Guard(broken), [b"abc"], options(tmp_path, 10_000))
    (kept,) = tmp_path.glob("crash-*")
    assert len(kept.read_bytes()) > 3


def test_a_slow_input_and_growing_memory_are_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(data: bytes) -> bool:
        end = time.thread_time() + 2 * harness.MAX_INPUT_S
        while time.thread_time() < end:
            pass
        return True

    with pytest.raises(AssertionError, match="took"):
        harness.Guard(slow)(b"x")
    guard = harness.Guard(lambda data: True)
    guard.executions = 999
    monkeypatch.setattr(harness, "peak_mib", lambda: 1 << 20)
    with pytest.raises(AssertionError, match="memory grew"):
        guard(b"x")


def test_the_messages_target_does_not_let_protobufs_own_error_out_of_wire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = target("messages")
    assert module.run(bytes((module.UNFOLDED_UPLINK,)) + b"\xff\xff") is False

    def leaky(data: bytes) -> None:
        raise module.DecodeError("as it comes")

    monkeypatch.setattr(module, "parse_uplink", leaky)
    with pytest.raises(AssertionError):
        module.run(bytes((module.UPLINK,)) + b"x")
    monkeypatch.setattr(module, "parse_uplink", lambda data: (_ for _ in ()).throw(ProtocolViolation("no")))
    assert module.run(bytes((module.UPLINK,)) + b"x") is False
