"""The image folder: files, index, atomic writes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_decoder import BUNDLE_ID, packet_of

from cloud.sinks.base import SinkFrame
from cloud.sinks.images import ImageSink, png_bytes, write_atomic
from common.bitstream.container import Container
from common.bitstream.session import SessionFacts
from common.types import SideState


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
    }
    return SinkFrame(**{**fields, **changes})


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
