"""The index of one vehicle's recording, `index.jsonl`: one line a frame, and after a crash the only truth.

A line is written when the frame's file is on disk, so what has a line is there. Opening reads the file line by line,
cuts off what a crash left of a last line, and remembers of each durable frame ten bytes: a million take ten megabytes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from common.stream.intervals import Intervals
from common.stream.messages import Mode
from common.stream.receiver import MAX_SEQ
from common.types import SideState

LOG = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 << 10
_CHUNK_BITS = 6
_IN_CHUNK = (1 << _CHUNK_BITS) - 1
_SIDES = (SideState.EXACT, SideState.STALE, SideState.MISSING)
_SIDE_NUMBERS = {side.value.encode(): number for number, side in enumerate(_SIDES)}
# The beginning of a line as `line_of` writes it; whatever differs is read as JSON.
_LINE = re.compile(
    rb'\{"seq": (\d{1,14}), "capture_ns": \d+, "bitstream_sha256": "([0-9a-f]{64})", "bytes": \d+, '
    rb'"side": "(exact|stale|missing)", "stream": "([0-9a-f]{32})", "mode": "(live|durable)"(?:, [^\x00\n]*)?\}\n'
)


@dataclass(frozen=True)
class Entry:
    """Hold what the index has to know of a frame.

    Attributes:
        seq: its number.
        sha256: of its packet, in hex.
        side: the side view it was decoded with.
        stream: the 16 bytes of its numbering; empty in recordings older than streams.
        mode: of its connection; only durable frames are remembered one by one.
    """

    seq: int
    sha256: str
    side: SideState
    stream: bytes
    mode: Mode


class _Marks:
    """Map numbers to 62 bits of a hash and a side state, densely."""

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}

    def put(self, seq: int, fingerprint: int, side: int) -> None:
        """Note the hash of a number and which of `_SIDES` it has."""
        chunk = self._chunks.get(seq >> _CHUNK_BITS)
        if chunk is None:
            chunk = self._chunks[seq >> _CHUNK_BITS] = array("Q", bytes(8 << _CHUNK_BITS))
        chunk[seq & _IN_CHUNK] = fingerprint | (side + 1)

    def get(self, seq: int) -> tuple[int, SideState] | None:
        chunk = self._chunks.get(seq >> _CHUNK_BITS)
        mark = 0 if chunk is None else chunk[seq & _IN_CHUNK]
        return (mark & ~3, _SIDES[(mark & 3) - 1]) if mark else None


class VehicleIndex:
    """Read, ask and extend one index; for one thread at a time, but for `held`."""

    def __init__(self, path: Path) -> None:
        """Open or begin the index at `path`.

        Raises:
            OSError: it cannot be read or written.
        """
        self.path = path
        self.highest = -1
        self._streams: dict[bytes, Intervals] = {}
        self._marks = _Marks()
        self._torn = False
        self._lock = threading.Lock()
        self._size = self._read() if path.exists() else 0
        self._file: IO[bytes] = path.open("ab", buffering=0)
        try:
            if self._file.tell() != self._size:
                LOG.warning("%s: cutting off a line that was not completed", path)
                self._file.truncate(self._size)
                os.fsync(self._file.fileno())
        except BaseException:
            self._file.close()
            raise

    def held(self, stream: bytes) -> Intervals:
        """Return a copy of the durable numbers of `stream`; for any thread."""
        with self._lock:
            known = self._streams.get(stream)
            return Intervals() if known is None else known.copy()

    def find(self, stream: bytes, seq: int) -> tuple[bool, SideState] | None:
        """Return whether durable frame `seq` belongs to `stream`, and its side state; None when nobody holds it."""
        mark = self._marks.get(seq)
        if mark is None:
            return None
        held = self._streams.get(stream)
        return held is not None and seq in held, mark[1]

    def same(self, seq: int, sha256: str) -> bool:
        """Tell whether durable frame `seq` was made of the packet with this hash."""
        mark = self._marks.get(seq)
        return mark is not None and mark[0] == _print_of(sha256)

    def append(self, lines: Sequence[tuple[Entry, bytes]], sync: bool) -> None:
        """Write lines and remember their frames: all of them or, on an error, none.

        Raises:
            OSError: there is no room, or the disk fails.
        """
        data = b"".join(line for _, line in lines)
        try:
            if self._torn:
                self._file.truncate(self._size)
            self._torn = True  # until all of it is there, or what is there was taken back
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._size)
            self._torn = False
            raise
        self._torn = False
        self._size += len(data)
        with self._lock:
            for entry, _ in lines:
                self._remember(entry)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _remember(self, entry: Entry) -> None:
        self.highest = max(self.highest, entry.seq)
        if entry.mode is Mode.DURABLE:
            self._streams.setdefault(entry.stream, Intervals()).add(entry.seq)
            self._marks.put(entry.seq, _print_of(entry.sha256), _SIDES.index(entry.side))

    def _read(self) -> int:
        """Remember every line; return where the last whole one ends."""
        good = broken = gone = 0
        named: dict[bytes, Intervals] = {}
        for end, line in _lines(self.path):
            match = _LINE.fullmatch(line)
            if match is not None:  # the same as below without an object a line: there may be millions
                number, sha256, side, stream, mode = match.groups()
                seq = int(number)
                self.highest = max(self.highest, seq)
                if mode == b"durable":
                    held = named.get(stream)
                    if held is None:
                        held = self._streams.setdefault(bytes.fromhex(stream.decode()), Intervals())
                        named[stream] = held
                    held.add(seq)
                    self._marks.put(seq, int(sha256[:16], 16) & ~3, _SIDE_NUMBERS[side])
                broken, good = gone, end
                continue
            entry = entry_of(line)
            if entry is not None:
                self._remember(entry)
            elif not _is_whole(line):
                gone += 1
                continue
            broken, good = gone, end
        if broken:
            LOG.warning("%s: %d lines before the last one cannot be read", self.path, broken)
        return good


def line_of(entry: Entry, capture_ns: int, size_bytes: int, more: dict[str, object]) -> bytes:
    """Return the line of a frame; `more` are further fields."""
    fields = {
        "seq": entry.seq,
        "capture_ns": capture_ns,
        "bitstream_sha256": entry.sha256,
        "bytes": size_bytes,
        "side": entry.side.value,
        "stream": entry.stream.hex(),
        "mode": entry.mode.name.lower(),
    }
    return json.dumps({**fields, **more}).encode() + b"\n"


def entry_of(line: bytes) -> Entry | None:
    """Return what a line says, None when it says nothing."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        entry = Entry(
            int(fields["seq"]),
            bytes.fromhex(fields["bitstream_sha256"]).hex(),
            SideState(fields["side"]),
            bytes.fromhex(fields.get("stream", "")),
            Mode[str(fields.get("mode", "live")).upper()],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if 0 <= entry.seq <= MAX_SEQ and len(entry.sha256) == 64 else None


def _is_whole(line: bytes) -> bool:
    """Tell whether a line that says nothing to us was at least written to its end, perhaps by a later version."""
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give each line and where it ends; one without an end, or too long for one of ours, comes in pieces."""
    at = 0
    with path.open("rb", buffering=1 << 20) as file:
        while line := file.readline(MAX_LINE_BYTES):
            at += len(line)
            yield at, line


def _print_of(sha256: str) -> int:
    return int(sha256[:16], 16) & ~3
