"""The telemetry of one vehicle's recording, `telemetry.jsonl`: one line a record, each record once.

A line holds `seq`, `capture_ns`, `kind`, `stream`, `mode`, and the record as `text`, or as `base64` where it is no
UTF-8. A message that needs a dictionary we do not have (a gateway that decodes nothing serves any bundle) is kept as
it came, on one line, in base64 as `zstd`. Lines of durable records are on the disk after `sync`, which comes before
the frames that they belong to get their own lines in the index: a frame in the index has its telemetry here. Opening
cuts off what a crash left of a last line.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from common.errors import CorruptPayload
from common.stream.intervals import Intervals
from common.stream.messages import Mode, Telemetry
from common.telemetry import Record, TelemetryCodec
from common.telemetry.codec import ForeignDictionary

LOG = logging.getLogger(__name__)

FILE = "telemetry.jsonl"
MAX_KINDS = 64
"""Kinds of records a recording may have: each is remembered for good."""
_MAX_LINE_BYTES = 4 << 20
_LINE = re.compile(
    rb'\{"seq": (\d{1,20}), "capture_ns": \d+, "kind": "([a-z0-9_-]{1,32})", '
    rb'"stream": "([0-9a-f]{32})", "mode": "(live|durable)", "(?:text|base64|zstd)": ".*"\}\n'
)


class TelemetryLog:
    """Keep the records of one vehicle; for one thread at a time.

    Args:
        path: the file; begun or gone on with.

    Raises:
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[tuple[bytes, str], Intervals] = {}
        self._kinds: set[str] = set()
        self._unsynced = False
        new = not path.exists()
        self._size = 0 if new else self._read()
        self._file: IO[bytes] = path.open("ab", buffering=0)
        try:
            if self._file.tell() != self._size:
                LOG.warning("%s: cutting off a line that was not completed", path)
                self._file.truncate(self._size)
                os.fsync(self._file.fileno())
            self._new_name = new
        except BaseException:
            self._file.close()
            raise

    def append(self, stream: bytes, mode: Mode, message: Telemetry, codec: TelemetryCodec) -> int:
        """Write the records of a message that are not here yet; return how many those were.

        Raises:
            CorruptPayload: the message holds no records, or one more kind than a recording may have.
            OSError: they cannot be written; none of them is.
        """
        packed = None
        try:
            records = codec.unpack(message)
        except ForeignDictionary:
            packed = base64.b64encode(message.data).decode()
            records = [Record(message.seq, message.capture_ns, message.data)]
        if message.kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            raise CorruptPayload(f"telemetry: more than {MAX_KINDS} kinds of records")
        known = self._known.get((stream, message.kind))
        fresh = [record for record in records if known is None or record.seq not in known]
        self._write(b"".join(_line_of(record, message.kind, stream, mode, packed) for record in fresh))
        for record in fresh:
            self._remember(stream, mode, message.kind, record.seq)
        self._unsynced |= bool(fresh)
        return len(fresh)

    def sync(self) -> None:
        """Have everything written so far on the disk.

        Raises:
            OSError: the disk fails.
        """
        if not self._unsynced:
            return
        os.fsync(self._file.fileno())
        if self._new_name:
            handle = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            self._new_name = False
        self._unsynced = False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        """Write all of `data` or nothing."""
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(data)

    def _remember(self, stream: bytes, mode: Mode, kind: str, seq: int) -> None:
        self._kinds.add(kind)
        if mode is Mode.DURABLE:  # a live record comes once
            self._known.setdefault((stream, kind), Intervals()).add(seq)

    def _read(self) -> int:
        """Remember every line; return where the last whole one ends."""
        good = 0
        for end, line in _lines(self.path):
            match = _LINE.fullmatch(line)
            if match is not None:
                seq, kind, stream, mode = match.groups()
                self._remember(
                    bytes.fromhex(stream.decode()), Mode[mode.decode().upper()], kind.decode(), int(seq)
                )
            if line.endswith(b"\n"):
                good = end
        return good


class TelemetryLogs:
    """Keep the telemetry of every vehicle below a folder; for one thread at a time."""

    def __init__(self, folder: Path, codec: TelemetryCodec) -> None:
        self._folder, self._codec = folder, codec
        self._logs: dict[str, TelemetryLog] = {}
        self._told: set[str] = set()

    def write(self, vehicle: str, stream: bytes, mode: Mode, message: Telemetry) -> None:
        """Write the records of a message; one that holds none is told of once, and left out.

        Raises:
            OSError: they cannot be written; the vehicle's folder has to be there.
        """
        log = self._logs.get(vehicle)
        if log is None:
            log = self._logs[vehicle] = TelemetryLog(self._folder / vehicle / FILE)
        try:
            log.append(stream, mode, message, self._codec)
        except CorruptPayload as error:
            if vehicle not in self._told:
                self._told.add(vehicle)
                LOG.warning("%s: telemetry left out (told once): %s", vehicle, error)

    def sync(self, vehicle: str) -> None:
        """Have what is written of a vehicle on the disk.

        Raises:
            OSError: the disk fails.
        """
        log = self._logs.get(vehicle)
        if log is not None:
            log.sync()

    def close_vehicle(self, vehicle: str) -> None:
        """Let go of a vehicle's file."""
        self._told.discard(vehicle)
        log = self._logs.pop(vehicle, None)
        if log is not None:
            log.close()


def _line_of(record: Record, kind: str, stream: bytes, mode: Mode, packed: str | None) -> bytes:
    fields = {
        "seq": record.seq,
        "capture_ns": record.capture_ns,
        "kind": kind,
        "stream": stream.hex(),
        "mode": mode.name.lower(),
    }
    if packed is not None:
        fields["zstd"] = packed
        return json.dumps(fields).encode() + b"\n"
    try:
        fields["text"] = record.data.decode()
    except UnicodeDecodeError:
        fields["base64"] = base64.b64encode(record.data).decode()
    return json.dumps(fields).encode() + b"\n"


def record_of(line: bytes) -> Record:
    """Return the record that a line of the file holds.

    Raises:
        ValueError: it is no such line, or it holds a message that could not be unpacked.
    """
    try:
        fields = json.loads(line)
        data = (
            fields["text"].encode() if "text" in fields else base64.b64decode(fields["base64"], validate=True)
        )
        return Record(int(fields["seq"]), int(fields["capture_ns"]), data)
    except (KeyError, TypeError, AttributeError) as why:
        raise ValueError(f"not a line of telemetry: {why}") from why


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give each line and where it ends; one without an end, or too long for one of ours, comes in pieces."""
    at = 0
    with path.open("rb", buffering=1 << 20) as file:
        while line := file.readline(_MAX_LINE_BYTES):
            at += len(line)
            yield at, line
