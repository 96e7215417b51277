"""The image folder: files, index, atomic writes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_decoder import BUNDLE_ID, packet_of

from cloud.sinks.base import FrameConflict, Kept, SinkFrame
from cloud.sinks.images import ImageSink, png_bytes, write_atomic
from common.bitstream.container import Container
from common.bitstream.session import SessionFacts
from common.stream.messages import Mode
from common.types import SideState

STREAM = bytes(range(16))


def frame(seq: int, vehicle: str = "car-1", decoded: bool = True, session: str = "s", **changes) -> SinkFrame:
    rng = np.random.default_rng(seq)
    fields = {
        "vehicle": vehicle,
        "session": session,
        "seq": seq,
        "capture_ns": 1000 + seq,
        "facts": SessionFacts(BUNDLE_ID, 64, 96),
        "packet": packet_of(bytes([seq])),
        "image": rng.integers(0, 256, (64, 96, 3), np.uint8) if decoded else None,
        "side": None,
        "side_state": SideState.STALE,
        "temporal": 0.25,
        "stream": STREAM,
    }
    return SinkFrame(**{**fields, **changes})


def lasting(seq: int, payload: bytes | None = None, stream: bytes = STREAM, **changes) -> SinkFrame:
    """Return a durable frame that nothing decoded."""
    packet = packet_of(bytes([seq % 256]) if payload is None else payload)
    return frame(seq, decoded=False, packet=packet, stream=stream, mode=Mode.DURABLE, **changes)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_png_and_index_line_per_frame(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "new" / "out")
    frames = [frame(0), frame(7), frame(1, vehicle="car-2")]
    for one in frames:
        sink.write(one)
    folder = tmp_path / "new" / "out"
    for one in frames:
        path = folder / one.vehicle / "main" / f"{one.seq:06d}.png"
        assert np.array_equal(cv2.imread(str(path))[..., ::-1], one.image)
    index = lines(folder / "car-1" / "index.jsonl")  # readable before closing
    assert [line["seq"] for line in index] == [0, 7]
    assert index[1] == {
        "seq": 7,
        "capture_ns": 1007,
        "bitstream_sha256": hashlib.sha256(frames[1].packet).hexdigest(),
        "bytes": len(frames[1].packet),
        "side": "stale",
        "stream": STREAM.hex(),
        "mode": "live",
        "temporal": 0.25,
        "file": "main/000007.png",
        "session": "s",
    }
    sink.close()
    assert not list(folder.rglob("*.partial"))


def test_a_second_run_goes_on_with_the_index(tmp_path: Path) -> None:
    for session in ("first", "second"):
        sink = ImageSink(tmp_path)
        sink.write(frame(0, session=session))
        sink.close_vehicle("car-1")
        sink.close_vehicle("car-1")
        sink.write(frame(1, session=session))
        sink.close()
    assert [(x["session"], x["seq"]) for x in lines(tmp_path / "car-1" / "index.jsonl")] == [
        ("first", 0),
        ("first", 1),
        ("second", 0),
        ("second", 1),
    ]


def test_bitstreams_are_kept_where_nothing_decodes(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    sink.write(frame(3, decoded=False))
    sink.close()
    container = Container.parse((tmp_path / "car-1" / "main" / "000003.mdic").read_bytes())
    assert container.packet == packet_of(b"\x03") and container.session == SessionFacts(BUNDLE_ID, 64, 96)


def test_writing_is_whole_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_atomic(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr("cloud.sinks.images.os.replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_png_is_rgb() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 200
    back = cv2.imdecode(np.frombuffer(png_bytes(image), np.uint8), cv2.IMREAD_COLOR)
    assert (back[0, 0] == (0, 0, 200)).all()


# --- durable frames -----------------------------------------------------------------------------------------


def test_a_durable_frame_is_kept_once_however_often_it_comes(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    kept = Kept(SideState.STALE)
    assert sink.write_group([lasting(0), lasting(1), lasting(0)]) == [
        kept,
        kept,
        Kept(SideState.STALE, again=True),
    ]
    assert sink.write_group([lasting(1, side_state=SideState.EXACT)]) == [Kept(SideState.STALE, again=True)]
    sink.close()
    again = ImageSink(tmp_path)  # another process would find the same
    assert again.write_group([lasting(1), lasting(2)]) == [Kept(SideState.STALE, again=True), kept]
    assert [line["seq"] for line in lines(tmp_path / "car-1" / "index.jsonl")] == [0, 1, 2]
    again.close()


def test_what_is_held_and_which_number_is_free(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    fresh = sink.held("car-1", STREAM)
    assert len(fresh.numbers) == 0 and fresh.free_seq == 0
    for seq in (0, 1, 5):
        sink.write(lasting(seq))
    sink.write(frame(9))  # live frames take numbers too
    for _ in range(2):
        held = sink.held("car-1", STREAM)
        assert list(held.numbers) == [(0, 1), (5, 5)] and held.free_seq == 10
        other = sink.held("car-1", bytes(16))
        assert len(other.numbers) == 0 and other.free_seq == 10
        sink.close_vehicle("car-1")
    held.numbers.add(77)
    assert 77 not in sink.held("car-1", STREAM).numbers
    sink.close()


@pytest.mark.parametrize(
    ("second", "same_stream"),
    [
        (lasting(3, b"other bytes"), True),
        (lasting(3, stream=bytes(16)), False),
        (frame(3, stream=bytes(16)), False),
        (frame(3), True),
    ],
)
def test_a_durable_frame_is_never_overwritten(tmp_path: Path, second: SinkFrame, same_stream: bool) -> None:
    sink = ImageSink(tmp_path)
    sink.write(lasting(3))
    before = (tmp_path / "car-1" / "main" / "000003.mdic").read_bytes()
    (answer,) = sink.write_group([second])
    assert isinstance(answer, FrameConflict) and answer.same_stream is same_stream
    with pytest.raises(FrameConflict):
        sink.write(second)
    assert (tmp_path / "car-1" / "main" / "000003.mdic").read_bytes() == before
    assert len(lines(tmp_path / "car-1" / "index.jsonl")) == 1
    assert len(list((tmp_path / "car-1" / "main").iterdir())) == 1
    sink.close()


def test_order_of_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, its new name, the folder, the index: a line must never be on the disk before what it speaks of."""
    sink = ImageSink(tmp_path)
    sink.write(lasting(0))
    done: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        real_sync(handle)

    def replace_file(source: Path, target: Path) -> None:
        done.append(f"rename {target.name}")
        real_replace(source, target)

    monkeypatch.setattr("cloud.sinks.images.os.fsync", sync)
    monkeypatch.setattr("cloud.sinks.images.os.replace", replace_file)
    sink.write(lasting(1))
    assert done == ["sync 000001.mdic.partial", "rename 000001.mdic", "sync main", "sync index.jsonl"]
    done.clear()
    sink.write_group([lasting(seq) for seq in range(2, 40)])
    assert sum(what.endswith(".partial") for what in done) == 38
    assert done[-2:] == ["sync main", "sync index.jsonl"] and done.count("sync main") == 1
    done.clear()
    sink.write(frame(99))
    assert done == ["rename 000099.png"]  # live: left to the operating system
    sink.close()


def test_leftovers_of_a_killed_server_are_cleared(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    sink.write(lasting(0))
    sink.close()
    (tmp_path / "car-1" / ".tmp" / "000001.mdic.partial").write_bytes(b"half")
    index = tmp_path / "car-1" / "index.jsonl"
    whole = index.read_bytes()
    index.write_bytes(whole + whole[:40])
    again = ImageSink(tmp_path)
    assert list(again.held("car-1", STREAM).numbers) == [(0, 0)]
    assert index.read_bytes() == whole and not list(tmp_path.rglob("*.partial"))
    again.close()


def test_a_file_without_a_line_is_written_again(tmp_path: Path) -> None:
    """Killed between the two: nobody was told, so the frame comes again."""
    sink = ImageSink(tmp_path)
    sink.write(lasting(0))
    sink.close()
    (tmp_path / "car-1" / "index.jsonl").write_bytes(b"")
    again = ImageSink(tmp_path)
    assert again.write_group([lasting(0)]) == [Kept(SideState.STALE)]
    assert len(lines(tmp_path / "car-1" / "index.jsonl")) == 1
    again.close()


def test_a_full_disk_keeps_nothing_half_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ImageSink(tmp_path)
    sink.write(lasting(0))
    real = os.fsync
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(name: str):
        def sync(handle: int) -> None:
            if Path(os.readlink(f"/proc/self/fd/{handle}")).name.startswith(name):
                raise full
            real(handle)

        return sync

    monkeypatch.setattr("cloud.sinks.images.os.fsync", fail("000002"))  # while a file is written
    assert sink.write_group([lasting(1), lasting(2)]) == [Kept(SideState.STALE), full]
    assert len(lines(tmp_path / "car-1" / "index.jsonl")) == 2 and not list(tmp_path.rglob("*.partial"))
    monkeypatch.undo()
    monkeypatch.setattr("cloud.sinks.images.os.fsync", fail("index"))
    assert sink.write_group([lasting(2), lasting(3)]) == [full, full]
    assert len(lines(tmp_path / "car-1" / "index.jsonl")) == 2
    assert sorted(p.name for p in (tmp_path / "car-1" / "main").iterdir()) == ["000000.mdic", "000001.mdic"]
    monkeypatch.undo()
    assert sink.write_group([lasting(2), lasting(3)]) == [Kept(SideState.STALE)] * 2
    assert [line["seq"] for line in lines(tmp_path / "car-1" / "index.jsonl")] == [0, 1, 2, 3]
    sink.close()


def test_what_is_known_of_side_view_and_decoding_is_in_the_line(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    sink.write(lasting(0, side_note="corrupt", side_trust=0.123456, error="corrupt payload: x"))
    (line,) = lines(tmp_path / "car-1" / "index.jsonl")
    assert (line["side_note"], line["side_trust"], line["error"]) == ("corrupt", 0.123, "corrupt payload: x")
    sink.close()


def test_one_vehicle_without_a_folder_does_not_stop_the_others(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    (tmp_path / "car-1").write_bytes(b"in the way")
    bad, good = sink.write_group([lasting(0), lasting(0, vehicle="car-2")])
    assert isinstance(bad, OSError) and good == Kept(SideState.STALE)
    sink.close()
