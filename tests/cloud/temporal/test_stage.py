"""Fusion of many streams behind an engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_cloud import go
from fake_drive import STEP_NS, drive_frame

from cloud.engine.base import EngineRequest, EngineResult
from cloud.temporal.stage import TemporalStage
from cloud.temporal.stream import TemporalFusion
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload

FACTS = SessionFacts(bytes(8), 128, 192)


def asked(stream: str, index: int) -> EngineRequest:
    side = drive_frame(index, seed=len(stream)).side
    return EngineRequest(b"x", FACTS, side, stream=stream, frame=index, capture_ns=STEP_NS * index)


def answer(stream: str, index: int) -> EngineResult:
    frame = drive_frame(index, seed=len(stream))
    return EngineResult(frame.image, frame.mask, frame.disparity, {"total": 1.0})


def fused_alone(stream: str, indices: list[int]) -> list[np.ndarray]:
    fusion, made = TemporalFusion(), []
    for index in indices:
        frame = drive_frame(index, seed=len(stream))
        made.append(fusion.step(frame, index, STEP_NS * index, frame.side).image)
    return made


def test_batches_across_streams_are_fused_in_order_each_for_itself() -> None:
    async def check() -> None:
        stage = TemporalStage()
        made: dict[tuple[str, int], EngineResult] = {}
        for batch in ([("a", 0), ("bb", 0), ("a", 1)], [("bb", 1), ("a", 2), ("bb", 2)]):
            results = await stage.mend([asked(*key) for key in batch], [answer(*key) for key in batch])
            made |= {key: r for key, r in zip(batch, results, strict=True) if isinstance(r, EngineResult)}
        for stream in ("a", "bb"):
            for index, image in enumerate(fused_alone(stream, [0, 1, 2])):
                assert np.array_equal(made[stream, index].image, image)
                assert (made[stream, index].temporal > 0) == (index > 0)
                assert made[stream, index].ms.keys() == {"total", "temporal"}
        assert stage.streams == 2
        await stage.close()

    go(check())


def test_errors_and_recordings_pass_and_leave_a_gap() -> None:
    async def check() -> None:
        stage = TemporalStage()
        error = CorruptPayload("x")
        requests = [asked("a", index) for index in range(4)]
        answers = [answer("a", 0), error, EngineResult(None), answer("a", 3)]
        results = await stage.mend(requests, answers)
        assert results[1] is error and results[2] is answers[2]
        last = results[3]
        assert isinstance(last, EngineResult) and last.temporal == 0
        assert np.array_equal(last.image, drive_frame(3, seed=1).image)
        await stage.close()

    go(check())


def test_a_stream_that_ended_is_forgotten() -> None:
    async def check() -> None:
        stage = TemporalStage()
        await stage.mend([asked("a", 0)], [answer("a", 0)])
        stage.forget("a")
        stage.forget("never seen")
        assert stage.streams == 0
        (result,) = await stage.mend([asked("a", 1)], [answer("a", 1)])
        assert isinstance(result, EngineResult) and result.temporal == 0
        await stage.close()

    go(check())


def test_a_defect_of_the_fusion_costs_no_picture(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        stage = TemporalStage()
        await stage.mend([asked("a", 0)], [answer("a", 0)])
        broken = replace(answer("a", 1), disparity=np.zeros((3, 3), np.float32))
        (result,) = await stage.mend([asked("a", 1)], [broken])
        assert result is broken and "frame 1 of a failed" in caplog.text
        (result,) = await stage.mend([asked("a", 2)], [answer("a", 2)])
        assert isinstance(result, EngineResult) and result.temporal == 0
        await stage.close()

    go(check())
