"""The index of a recording: what a crash may leave, what it costs, what it says."""

from __future__ import annotations

import hashlib
import json
import time
import tracemalloc
from pathlib import Path

import pytest

from cloud.sinks.index import MAX_LINE_BYTES, Entry, VehicleIndex, entry_of, line_of
from common.stream.messages import Mode
from common.types import SideState

A, B = bytes(range(16)), bytes(16)


def entry(seq: int, stream: bytes = A, mode: Mode = Mode.DURABLE, side: SideState = SideState.EXACT) -> Entry:
    return Entry(seq, hashlib.sha256(b"%d" % seq).hexdigest(), side, stream, mode)


def line(one: Entry) -> bytes:
    return line_of(one, 5, 6, {"file": "main/x"})


def write(index: VehicleIndex, *entries: Entry) -> None:
    index.append([(one, line(one)) for one in entries], sync=True)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("side", list(SideState))
def test_a_line_says_what_went_in(mode: Mode, side: SideState) -> None:
    one = entry(7, mode=mode, side=side)
    assert entry_of(line(one)) == one
    fields = json.loads(line(one))
    assert list(fields)[:5] == ["seq", "capture_ns", "bitstream_sha256", "bytes", "side"]
    # The same fields in another order, as another program would write them, say the same.
    other = json.dumps(dict(reversed(fields.items()))).encode() + b"\n"
    assert entry_of(other) == one


def test_lines_of_older_recordings_count_as_live() -> None:
    old = {
        "seq": 3,
        "capture_ns": 1,
        "bitstream_sha256": "0" * 64,
        "bytes": 1,
        "side": "stale",
        "session": "s",
    }
    assert entry_of(json.dumps(old).encode() + b"\n") == Entry(3, "0" * 64, SideState.STALE, b"", Mode.LIVE)


@pytest.mark.parametrize(
    "bad",
    [
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"\x00" * 100 + b"\n",
        line(entry(7))[:-1],
        line(entry(7))[:50] + b"\n",
        line(entry(7)).replace(b'"seq": 7', b'"seq": -7'),
        line(entry(7)).replace(b'"seq": 7', b'"seq": ' + b"9" * 18),
        line(entry(7)).replace(b"exact", b"exakt"),
        line(entry(7)).replace(b'sha256": "', b'sha256": "zz'),
        b"[" * 9000 + b"\n",
    ],
)
def test_what_is_no_line_says_nothing(bad: bytes) -> None:
    assert entry_of(bad) is None


def test_streams_numbers_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "index.jsonl"
    index = VehicleIndex(path)
    write(index, entry(0), entry(1, side=SideState.STALE), entry(70, B), entry(100, mode=Mode.LIVE))
    for _ in range(2):
        assert index.highest == 100
        assert list(index.held(A)) == [(0, 1)] and list(index.held(B)) == [(70, 70)]
        assert len(index.held(b"other")) == 0
        assert index.find(A, 1) == (True, SideState.STALE) and index.find(A, 70) == (False, SideState.EXACT)
        assert index.find(A, 2) is None and index.find(A, 100) is None
        assert index.same(1, entry(1).sha256) and not index.same(1, entry(2).sha256)
        index.close()
        index = VehicleIndex(path)
    index.close()


@pytest.mark.parametrize(
    "tail",
    [
        line(entry(2))[:-1],
        b"{",
        b"\x00" * 4096,
        line(entry(2))[:30] + b"\x00" * 30 + b"\n",
        b"x" * (3 * MAX_LINE_BYTES),
        b"\n\n",
    ],
)
def test_a_torn_end_is_cut_off_and_nothing_else(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "index.jsonl"
    whole = line(entry(0)) + line(entry(1))
    path.write_bytes(whole + tail)
    index = VehicleIndex(path)
    assert path.read_bytes() == whole and list(index.held(A)) == [(0, 1)]
    write(index, entry(2))
    assert path.read_bytes() == whole + line(entry(2))
    index.close()


def test_whole_lines_are_never_cut_off(tmp_path: Path) -> None:
    """A line of a later version, or a spoilt one with good ones behind it."""
    path = tmp_path / "index.jsonl"
    later = b'{"seq": 5, "kind": "of a later version"}\n'
    for middle in (later, b"\x00\x00\n"):
        content = line(entry(0)) + middle + line(entry(1)) + later
        path.write_bytes(content)
        index = VehicleIndex(path)
        assert path.read_bytes() == content and list(index.held(A)) == [(0, 1)]
        index.close()


def test_an_error_takes_the_whole_group_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index.jsonl"
    index = VehicleIndex(path)
    write(index, entry(0))
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cloud.sinks.index.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write(index, entry(1), entry(2))
    assert path.read_bytes() == before and index.find(A, 1) is None and index.highest == 0
    monkeypatch.undo()
    write(index, entry(1))
    assert path.read_bytes() == before + line(entry(1))
    index.close()


def test_half_a_line_that_could_not_be_taken_back_is_gone_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.jsonl"
    index = VehicleIndex(path)
    write(index, entry(0))

    class Failing:
        """A disk that takes a few bytes and then nothing, not even an order."""

        def __init__(self, file) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            if self.file.tell() > len(line(entry(0))):
                raise OSError(5, "Input/output error")
            return self.file.write(data[:10])

        def truncate(self, size: int) -> int:
            raise OSError(5, "Input/output error")

    real = index._file
    index._file = Failing(real)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            write(index, entry(1))
    index._file = real
    write(index, entry(1))
    assert path.read_bytes() == line(entry(0)) + line(entry(1))
    index.close()


def test_a_long_index_opens_in_little_time_and_memory(tmp_path: Path) -> None:
    """100,000 lines: a million take ten times as long and as much."""
    path = tmp_path / "index.jsonl"
    path.write_bytes(b"".join(line(entry(seq)) for seq in range(100_000)))
    tracemalloc.start()
    index = VehicleIndex(path)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 4 << 20
    index.close()
    started = time.process_time()
    index = VehicleIndex(path)
    assert time.process_time() - started < 5
    assert index.highest == 99_999 and list(index.held(A)) == [(0, 99_999)]
    index.close()
