"""The interface between the stream server and whatever decodes.

A request holds all that decoding needs, so an engine may run it in another thread, process or machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from numpy import float32
from numpy.typing import NDArray

from common.bitstream.session import SessionFacts
from common.errors import MdicError
from common.types import RgbImage


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """Ask for one main frame.

    Attributes:
        packet: the frame packet (proto/BITSTREAM.md).
        facts: bundle id and frame size of the session.
        side: (H, W, 3) uint8 RGB side view, or None.
        side_lossy: the side view went through a lossy codec.
        previous: (H, W, 3) uint8 RGB, the frame rebuilt before this one, or None.
        stream: name of the stream; with `frame` it seeds the sampler.
        frame: number of the frame in its stream.
        steps: diffusion steps; None means the bundle's default.
        capture_ns: its capture time in nanoseconds; for the temporal stage, decoding does not depend on it.
    """

    packet: bytes
    facts: SessionFacts
    side: RgbImage | None = None
    previous: RgbImage | None = None
    stream: str = ""
    frame: int = 0
    steps: int | None = None
    capture_ns: int = 0
    side_lossy: bool = False


@dataclass(frozen=True, eq=False)
class EngineResult:
    """Answer one request.

    Attributes:
        image: (H, W, 3) uint8 RGB, or None from an engine that only records.
        mask: (H, W) float32 in [0, 1], confidence of the warp, or None.
        disparity: (H, W) float32 pixels, or None.
        ms: milliseconds per stage.
        temporal: mean weight of the previous frame in this one; 0 when it was not used.
    """

    image: RgbImage | None
    mask: NDArray[float32] | None = None
    disparity: NDArray[float32] | None = None
    ms: dict[str, float] = field(default_factory=dict)
    temporal: float = 0.0


class Engine(Protocol):
    """Decode batches of requests; one batch at a time."""

    @property
    def name(self) -> str:
        """Name the engine for logs and reports."""
        ...

    @property
    def max_batch(self) -> int:
        """Give the number of requests that one batch may hold."""
        ...

    @property
    def wants_previous(self) -> bool:
        """Tell whether requests should carry the previous frame (then a batch holds one frame per stream)."""
        ...

    async def decode(self, batch: Sequence[EngineRequest]) -> list[EngineResult | MdicError]:
        """Return one result or error for each request, in order; a bad request spoils no other."""
        ...

    async def close(self) -> None:
        """Finish the batch in progress and let go of the device."""
        ...
