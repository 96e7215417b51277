"""Decoding in this process: one worker thread that owns the decoder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cloud.engine.base import EngineRequest, EngineResult
from common.errors import MdicError

if TYPE_CHECKING:
    from cloud.decoder import DecodedFrame, Decoder, DecodeRequest

LOG = logging.getLogger(__name__)

CPU_BATCH = 4
GPU_BATCH = 16


class LocalEngine:
    """Run a `Decoder` in one thread of its own, so that the event loop stays free."""

    def __init__(
        self,
        decoder: Decoder,
        max_batch: int = CPU_BATCH,
        convert: Callable[[EngineRequest], DecodeRequest] | None = None,
    ) -> None:
        """Take a decoder that nobody else uses.

        Args:
            decoder: decodes; need not be thread-safe.
            max_batch: frames in one batch.
            convert: makes the decoder's requests; None means `cloud.decoder.DecodeRequest`.
        """
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        self._decoder = decoder
        self._max_batch = max_batch
        self._convert = convert or _decode_request
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    @property
    def name(self) -> str:
        """Name the engine for logs and reports."""
        return "local"

    @property
    def max_batch(self) -> int:
        """Give the number of requests that one batch may hold."""
        return self._max_batch

    @property
    def wants_previous(self) -> bool:
        """Tell whether the decoder makes use of the previous frame."""
        return bool(getattr(self._decoder, "uses_previous", False))

    async def decode(self, batch: Sequence[EngineRequest]) -> list[EngineResult | MdicError]:
        """Return one result or error for each request, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, list(batch))

    async def close(self) -> None:
        """Wait for the batch in progress."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def _run(self, batch: list[EngineRequest]) -> list[EngineResult | MdicError]:
        try:
            frames = self._decoder.decode_batch([self._convert(request) for request in batch])
            return [_result(frame) for frame in frames]
        except Exception as error:
            if len(batch) == 1:
                return [_blame(error)]
        # One request is bad and the batch does not say which: each on its own finds it.
        return [self._run([request])[0] for request in batch]


def _blame(error: Exception) -> MdicError:
    """Return the error a peer may see; a defect of ours goes to the log and keeps its text to itself."""
    if isinstance(error, MdicError):
        return error
    LOG.error("decoding a frame failed", exc_info=error)
    return MdicError("internal error")


def _decode_request(request: EngineRequest) -> DecodeRequest:
    from cloud.decoder import DecodeRequest

    return DecodeRequest(
        packet=request.packet,
        height=request.facts.height,
        width=request.facts.width,
        side=request.side,
        previous=request.previous,
        stream=request.stream,
        frame=request.frame,
        steps=request.steps,
        side_lossy=request.side_lossy,
    )


def _result(frame: DecodedFrame) -> EngineResult:
    return EngineResult(image=frame.image, mask=frame.mask, disparity=frame.disparity, ms=dict(frame.ms))
