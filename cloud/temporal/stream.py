"""Temporal fusion of one stream: what is remembered, and when it is forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.types import RgbImage

from .fusion import Past, Rules, fuse, remember

MAX_FRAME_STEP = 2
MAX_TIME_STEP_NS = 500_000_000


class Rebuilt(Protocol):
    """What a decoded frame has (`cloud.decoder.DecodedFrame`); any frozen dataclass with these fields will do."""

    @property
    def image(self) -> RgbImage:
        """Give the (H, W, 3) uint8 RGB picture."""
        ...

    @property
    def mask(self) -> NDArray[np.float32]:
        """Give the (H, W) float32 mask: how far each pixel comes from the side view."""
        ...

    @property
    def disparity(self) -> NDArray[np.float32]:
        """Give the (H, W) float32 disparity in pixels."""
        ...

    @property
    def ms(self) -> dict[str, float]:
        """Give milliseconds per stage."""
        ...


Frame = TypeVar("Frame", bound=Rebuilt)


@dataclass(frozen=True, eq=False)
class TemporalState:
    """All that is remembered of a stream: one frame.

    Attributes:
        past: the fused picture and where it was seen.
        frame: its number in the stream.
        capture_ns: its capture time in nanoseconds.
    """

    past: Past
    frame: int
    capture_ns: int


class TemporalFusion:
    """Mend the frames of one stream, one after the other, with the frame before.

    The encoder knows nothing of it, so a lost frame breaks no later one: the next frame is then shown as it was
    decoded, and the memory starts anew.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.state: TemporalState | None = None
        self.share = 0.0
        """Mean weight of the past in the last frame; exactly 0 when it was shown as decoded."""

    def reset(self) -> None:
        """Forget the past."""
        self.state = None

    def step(self, decoded: Frame, frame_index: int, capture_ns: int, side: RgbImage | None = None) -> Frame:
        """Return the frame with its picture mended and its disparity steadied; `ms` has one more stage.

        After a gap (more than two frame numbers or half a second), a step back, a change of size or a scene cut the
        picture is the decoder's own, byte for byte.

        Args:
            decoded: the frame as decoded alone.
            frame_index: its number in the stream.
            capture_ns: its capture time in nanoseconds.
            side: (H, W, 3) uint8 RGB, the side view it was decoded with; without it the disparity stays as it is.
        """
        started = time.perf_counter()
        past, self.share = remember(decoded.image, decoded.mask, decoded.disparity, self.rules), 0.0
        if self._continues(decoded.image, frame_index, capture_ns):
            assert self.state is not None
            fused = fuse(past, decoded.mask, side, self.state.past, self.rules)
            past, self.share = fused.past, float(fused.weight.mean())
        self.state = TemporalState(past, frame_index, capture_ns)
        ms = {**decoded.ms, "temporal": (time.perf_counter() - started) * 1e3}
        changed: Any = replace(decoded, image=past.image, disparity=past.disparity, ms=ms)  # type: ignore[type-var]  # a frozen dataclass
        return changed  # type: ignore[no-any-return]

    def _continues(self, image: RgbImage, frame_index: int, capture_ns: int) -> bool:
        last = self.state
        return (
            last is not None
            and last.past.image.shape == image.shape
            and 0 < frame_index - last.frame <= MAX_FRAME_STEP
            and 0 <= capture_ns - last.capture_ns <= MAX_TIME_STEP_NS
        )
