"""Put the frozen networks and the stereo matcher before the pictures of a pair and compare with the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.downstream import agreement
from benchmarks.downstream.flow import Flow
from benchmarks.downstream.segmenter import CLASSES, Segmenter
from benchmarks.rd.controls import oracle_disparity
from benchmarks.rd.protocol import Sample
from common.types import RgbImage


@dataclass(frozen=True, eq=False)
class Answer:
    """Hold what perception makes of one picture.

    Attributes:
        labels: (h, w) uint8 classes; None without the segmenter.
        disparity: (H, W) float32 pixels towards the side view.
        holes: (H, W) bool, where the matcher has no disparity that both directions agree on.
        motion: (H, W, 2) float32 pixels to the next frame; None without the flow network or a next frame.
    """

    labels: NDArray[np.uint8] | None
    disparity: NDArray[np.float32]
    holes: NDArray[np.bool_]
    motion: NDArray[np.float32] | None


class Judge:
    """Answer and compare; what is missing is None and is left out of the rows."""

    def __init__(self, segmenter: Segmenter | None, flow: Flow | None) -> None:
        self._segmenter, self._flow = segmenter, flow

    def answer(self, image: RgbImage, sample: Sample, following: RgbImage | None) -> Answer:
        """Return the answers on (H, W, 3) uint8 RGB `image`, standing in for the pair's main view.

        The other picture of every task is untouched: the matcher sees the lossless side view, the flow network the next
        source frame. The matcher is OpenCV's semi-global one, both directions, agreeing within 2 px
        (`benchmarks/rd/controls.py`).
        """
        disparity, holes = oracle_disparity(image, sample.whole_side)
        labels = None if self._segmenter is None else self._segmenter.labels(image)
        moved = self._flow is not None and following is not None
        motion = self._flow.flow(image, following) if moved else None  # type: ignore[union-attr, arg-type]
        return Answer(labels, disparity, holes, motion)


def compare(source: Answer, found: Answer) -> dict[str, Any]:
    """Return a row: every measure of `found` against the answers on the source."""
    row: dict[str, Any] = {}
    if source.labels is not None and found.labels is not None:
        row |= agreement.segmentation(source.labels, found.labels, len(CLASSES))
    row |= agreement.disparity(source.disparity, source.holes, found.disparity, found.holes)
    if source.motion is not None and found.motion is not None:
        row |= agreement.motion(source.motion, found.motion)
    return row
