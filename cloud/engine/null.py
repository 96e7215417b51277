"""An engine that decodes nothing: the server then records bitstreams (`mdic-cloud serve --engine null`)."""

from __future__ import annotations

from collections.abc import Sequence

from cloud.engine.base import EngineRequest, EngineResult
from common.errors import MdicError


class NullEngine:
    """Answer each request without an image; sinks keep the bitstream instead."""

    name = "null"
    max_batch = 64
    wants_previous = False

    async def decode(self, batch: Sequence[EngineRequest]) -> list[EngineResult | MdicError]:
        """Return an empty result for each request."""
        return [EngineResult(image=None) for _ in batch]

    async def close(self) -> None:
        """Do nothing."""
