"""Temporal fusion of every stream of a server: between the engine and whoever waits for its results.

It stands behind the engine, so that decode requests stay self-contained: a batch may hold several frames of one
stream, from any worker, and only the fusion needs them in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from cloud.engine.base import EngineRequest, EngineResult
from common.errors import MdicError

from .fusion import Rules
from .stream import TemporalFusion

LOG = logging.getLogger(__name__)


class TemporalStage:
    """Hold one `TemporalFusion` a stream and feed them in one thread of its own."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules
        self._streams: dict[str, TemporalFusion] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="temporal")

    @property
    def streams(self) -> int:
        """Count the streams of which a frame is remembered."""
        return len(self._streams)

    async def mend(
        self, requests: Sequence[EngineRequest], answers: Sequence[EngineResult | MdicError]
    ) -> list[EngineResult | MdicError]:
        """Return the answers with their pictures fused; frames of one stream must come in order.

        Errors and results without an image pass unchanged, and so does a frame whose fusion fails.
        """
        work = [
            (request, answer, self._stream(request.stream) if _fusible(answer) else None)
            for request, answer in zip(requests, answers, strict=True)
        ]
        if all(fusion is None for _, _, fusion in work):
            return list(answers)  # an engine that only records: not worth waking a thread for each batch
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: [_mend(*w) for w in work]
        )

    def forget(self, stream: str) -> None:
        """Let go of a stream that ended."""
        self._streams.pop(stream, None)

    async def close(self) -> None:
        """Wait for the batch in progress."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def _stream(self, name: str) -> TemporalFusion:
        # In the event loop, as `forget` is: a stream forgotten meanwhile is not remembered again.
        return self._streams.setdefault(name, TemporalFusion(self._rules))


def _fusible(answer: EngineResult | MdicError) -> bool:
    return isinstance(answer, EngineResult) and not any(
        part is None for part in (answer.image, answer.mask, answer.disparity)
    )


def _mend(
    request: EngineRequest, answer: EngineResult | MdicError, fusion: TemporalFusion | None
) -> EngineResult | MdicError:
    if fusion is None or not isinstance(answer, EngineResult):
        return answer
    try:
        whole: Any = answer  # image, mask and disparity are there
        mended: EngineResult = fusion.step(whole, request.frame, request.capture_ns, request.side)
        return replace(mended, temporal=fusion.share)
    except Exception:
        # The picture as decoded is an answer too; a defect here must not cost it.
        LOG.exception("temporal fusion of frame %d of %s failed", request.frame, request.stream)
        fusion.reset()
        return answer
