"""A drive through the real server: fused in order, forgotten over a gap, said in index and summary."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from fake_cloud import cloud, go
from fake_decoder import FakeDecoder, FakeFrame, packet_of
from fake_drive import HEIGHT, STEP_NS, WIDTH, drive_frame
from fake_edge import coded, hello

from cloud.sinks.images import ImageSink
from cloud.temporal.stream import TemporalFusion
from common.stream.messages import MainFrame, SideFrame, Status

NUMBERS = [0, 1, 2, 3, 9, 10, 11]  # five frames are lost on the way


class DriveDecoder(FakeDecoder):
    """Rebuild frame n of the drive from a packet that says n."""

    def _frame(self, request) -> FakeFrame:  # type: ignore[no-untyped-def]
        super()._frame(request)
        frame = drive_frame(request.frame)
        return FakeFrame(frame.image, frame.mask, frame.disparity, frame.image, {"total": 1.0})


def messages(seq: int) -> tuple[SideFrame, MainFrame]:
    side = SideFrame(seq, STEP_NS * seq, coded(drive_frame(seq).side))
    return side, MainFrame(seq, STEP_NS * seq, packet_of(bytes([seq]), HEIGHT, WIDTH))


def stream(folder: Path, temporal: bool) -> tuple[list[dict], dict]:  # type: ignore[type-arg]
    """Send the drive; return the index and the summary."""
    totals: dict = {}  # type: ignore[type-arg]

    async def check() -> None:
        async with cloud(DriveDecoder(), sinks=(ImageSink(folder),), temporal=temporal) as c:
            edge = c.edge()
            await edge.open(hello(height=HEIGHT, width=WIDTH, side_height=HEIGHT, side_width=WIDTH))
            for seq in NUMBERS:
                await edge.send(*messages(seq))
            await edge.end()
            assert {ack.status for ack in edge.acks.values()} == {Status.DECODED}
            totals.update(c.totals.as_dict())
            assert c.temporal is None or c.temporal.streams == 0  # forgotten when the stream ended

    go(check())
    lines = (folder / "car-1" / "index.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines], totals


def images(folder: Path, index: list[dict]) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [cv2.imread(str(folder / "car-1" / line["file"]))[..., ::-1] for line in index]


def test_a_drive_is_fused_and_says_so(tmp_path: Path) -> None:
    index, totals = stream(tmp_path, temporal=True)
    assert [line["seq"] for line in index] == NUMBERS
    assert [line["temporal"] > 0 for line in index] == [False, True, True, True, False, True, True]
    assert totals["temporal"] == 5
    fusion = TemporalFusion()
    for seq, image in zip(NUMBERS, images(tmp_path, index), strict=True):
        frame = drive_frame(seq)
        assert np.array_equal(image, fusion.step(frame, seq, STEP_NS * seq, frame.side).image)
    assert np.array_equal(images(tmp_path, index)[4], drive_frame(9).image)


def test_switched_off_every_frame_is_as_decoded(tmp_path: Path) -> None:
    index, totals = stream(tmp_path, temporal=False)
    assert {line["temporal"] for line in index} == {0.0} and totals["temporal"] == 0
    for seq, image in zip(NUMBERS, images(tmp_path, index), strict=True):
        assert np.array_equal(image, drive_frame(seq).image)
