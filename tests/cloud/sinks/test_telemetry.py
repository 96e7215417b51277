"""cloud.sinks.telemetry: each record once, whole lines only, and nothing foreign gets in."""

from __future__ import annotations

import base64
import errno
import json
import os
from pathlib import Path
from typing import IO

import pytest

from cloud.sinks.base import Kept, SinkFrame, TelemetrySink
from cloud.sinks.images import ImageSink
from cloud.sinks.index import VehicleIndex
from cloud.sinks.telemetry import MAX_KINDS, TelemetryLog, record_of
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload
from common.stream.messages import Mode, Telemetry
from common.synthetic import OxtsRecorder
from common.telemetry import Record, TelemetryCodec
from common.telemetry.dictionary import SHIPPED
from common.types import SideState

CODEC = TelemetryCodec()
STREAM, OTHER = b"s" * 16, b"o" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.jsonl"


def oxts(first: int, count: int = 1) -> list[Record]:
    recorder = OxtsRecorder(1)
    return [Record(seq, 10**18 + seq, recorder.record(seq)) for seq in range(first, first + count)]


def put(log: TelemetryLog, records: list[Record], mode: Mode = Mode.DURABLE, stream: bytes = STREAM) -> int:
    return log.append(stream, mode, CODEC.pack("oxts", records), CODEC)


def kept(path: Path) -> list[Record]:
    return [record_of(line) for line in path.read_bytes().splitlines()]


def test_records_come_out_byte_by_byte(path: Path) -> None:
    log = TelemetryLog(path)
    records = oxts(0, 5)
    assert put(log, records) == 5
    log.close()
    assert kept(path) == records
    line = json.loads(path.read_bytes().splitlines()[0])
    assert line["text"] == records[0].data.decode()
    assert (line["seq"], line["kind"], line["stream"], line["mode"]) == (0, "oxts", STREAM.hex(), "durable")


def test_what_is_no_text_is_kept_all_the_same(path: Path) -> None:
    log = TelemetryLog(path)
    record = Record(1, 2, b"\xff\x00\n")
    log.append(STREAM, Mode.LIVE, CODEC.pack("raw", [record]), CODEC)
    assert kept(path) == [record] and "base64" in json.loads(path.read_bytes())


def test_a_durable_record_is_written_once(path: Path) -> None:
    log = TelemetryLog(path)
    assert (put(log, oxts(0, 3)), put(log, oxts(2, 3)), put(log, oxts(1))) == (3, 2, 0)
    log.close()
    again = TelemetryLog(path)
    assert (put(again, oxts(0, 6)), put(again, oxts(0), stream=OTHER)) == (1, 1)
    assert [record.seq for record in kept(path)] == [0, 1, 2, 3, 4, 5, 0]


def test_live_runs_follow_each_other(path: Path) -> None:
    log = TelemetryLog(path)
    assert (put(log, oxts(0, 2), Mode.LIVE), put(log, oxts(0, 2), Mode.LIVE, OTHER)) == (2, 2)


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_what_a_crash_left_is_cut_off(path: Path, cut: int) -> None:
    log = TelemetryLog(path)
    put(log, oxts(0, 3))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = TelemetryLog(path)
    assert [record.seq for record in kept(path)] == [0, 1]
    assert put(again, oxts(0, 3)) == 1
    assert path.read_bytes() == whole


def test_lines_we_do_not_know_are_left_alone(path: Path) -> None:
    path.write_bytes(b'{"later": "version"}\n')
    log = TelemetryLog(path)
    put(log, oxts(0))
    assert path.read_bytes().startswith(b'{"later": "version"}\n{"seq": 0')


def test_a_full_disk_leaves_nothing_behind_and_the_record_may_come_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = TelemetryLog(path)
    put(log, oxts(0))
    before = path.read_bytes()

    class FullDisk:
        """Take a hundred bytes, then nothing."""

        def __init__(self, file: IO[bytes]) -> None:
            self.file, self.room = file, 100

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written, self.room = self.file.write(data[: self.room]), 0
            return written

        def truncate(self, size: int) -> int:
            return self.file.truncate(size)

    real = log._file
    for _ in range(2):
        monkeypatch.setattr(log, "_file", FullDisk(real))
        with pytest.raises(OSError, match="space"):
            put(log, oxts(1))
        assert path.read_bytes() == before
    monkeypatch.setattr(log, "_file", real)
    assert put(log, oxts(1)) == 1 and [record.seq for record in kept(path)] == [0, 1]


def test_sync_reaches_the_disk_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = TelemetryLog(path)
    log.sync()
    assert synced == []
    put(log, oxts(0))
    log.sync()
    log.sync()
    assert len(synced) == 2  # the file, and the folder that has its new name
    put(log, oxts(1))
    log.sync()
    assert len(synced) == 3


def test_foreign_messages_are_one_error_and_leave_no_trace(path: Path) -> None:
    log = TelemetryLog(path)
    for message in (
        Telemetry(0, 0, "oxts", b"no zstd", True),
        Telemetry(0, 0, "oxts", b"\x28\xb5\x2f\xfd\0", True),
    ):
        with pytest.raises(CorruptPayload):
            log.append(STREAM, Mode.DURABLE, message, CODEC)
    assert path.read_bytes() == b"" and put(log, oxts(0)) == 1


def test_a_recording_has_so_many_kinds(path: Path) -> None:
    log = TelemetryLog(path)
    for kind in range(MAX_KINDS):
        log.append(STREAM, Mode.LIVE, Telemetry(0, 0, f"k{kind}", b"x"), CODEC)
    with pytest.raises(CorruptPayload, match="kinds"):
        log.append(STREAM, Mode.LIVE, Telemetry(0, 0, "one-more", b"x"), CODEC)
    assert log.append(OTHER, Mode.LIVE, Telemetry(0, 0, "k0", b"x"), CODEC) == 1


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'{"seq": 1, "capture_ns": 2, "base64": "*"}', b"no json"]
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        record_of(line)


def test_a_message_for_another_dictionary_is_kept_as_it_came(path: Path) -> None:
    log = TelemetryLog(path)
    theirs = TelemetryCodec(SHIPPED.read_bytes())
    message = theirs.pack("oxts", oxts(4))
    for _ in range(2):
        log.append(STREAM, Mode.DURABLE, message, CODEC)
    (line,) = path.read_bytes().splitlines()
    packed = base64.b64decode(json.loads(line)["zstd"])
    assert theirs.unpack(Telemetry(4, 10**18 + 4, "oxts", packed, True)) == oxts(4)
    with pytest.raises(ValueError):
        record_of(line)
    log.close()
    assert TelemetryLog(path).append(STREAM, Mode.DURABLE, message, CODEC) == 0


def frame(seq: int, telemetry: tuple[Telemetry, ...] = (), mode: Mode = Mode.DURABLE) -> SinkFrame:
    facts = SessionFacts(b"bundle-x", 64, 64)
    return SinkFrame("car", "car-1", seq, 7, facts, b"packet %d" % seq, None, None, SideState.MISSING,
                     stream=STREAM, mode=mode, telemetry=telemetry)  # fmt: skip


def test_a_durable_frame_is_kept_after_its_records(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    records = oxts(0, 3)
    for record in records:
        (answer,) = sink.write_group([frame(record.seq, (CODEC.pack("oxts", [record]),))])
        assert isinstance(answer, Kept)
    (again,) = sink.write_group([frame(1, (CODEC.pack("oxts", [records[1]]),))])
    assert isinstance(again, Kept) and again.again
    sink.close()
    assert kept(tmp_path / "car" / "telemetry.jsonl") == records


def test_a_frame_whose_records_do_not_fit_the_disk_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ImageSink(tmp_path)

    def full(log: TelemetryLog, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    group = [frame(0, (CODEC.pack("oxts", oxts(0)),)), frame(1)]
    with monkeypatch.context() as patch:
        patch.setattr(TelemetryLog, "_write", full)
        first, second = sink.write_group(group)
    assert isinstance(first, OSError) and isinstance(second, Kept)
    assert not (tmp_path / "car" / "main" / "000000.mdic").exists()
    again, _ = sink.write_group(group)
    assert isinstance(again, Kept) and not again.again
    assert kept(tmp_path / "car" / "telemetry.jsonl") == oxts(0)


def test_records_are_synced_before_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ImageSink(tmp_path)
    order: list[str] = []
    sync, append = TelemetryLog.sync, VehicleIndex.append
    monkeypatch.setattr(TelemetryLog, "sync", lambda log: (order.append("telemetry"), sync(log))[1])
    monkeypatch.setattr(VehicleIndex, "append", lambda *a, **k: (order.append("index"), append(*a, **k))[1])
    sink.write_group([frame(i, (CODEC.pack("oxts", oxts(i)),)) for i in range(3)])
    assert order == ["telemetry", "index"]


def test_foreign_telemetry_does_not_keep_a_frame_out(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    (answer,) = sink.write_group([frame(0, (Telemetry(0, 0, "oxts", b"no zstd", True),))])
    assert isinstance(answer, Kept) and (tmp_path / "car" / "telemetry.jsonl").read_bytes() == b""


def test_live_messages_are_kept_by_themselves(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    assert isinstance(sink, TelemetrySink)
    sink.write_telemetry("car", STREAM, CODEC.pack("oxts", oxts(0, 4)))
    sink.close_vehicle("car")
    sink.write_telemetry("car", OTHER, CODEC.pack("oxts", oxts(0, 1)))
    sink.close()
    assert kept(tmp_path / "car" / "telemetry.jsonl") == [*oxts(0, 4), *oxts(0)]
