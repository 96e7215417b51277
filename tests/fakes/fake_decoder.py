"""A decoder without networks: the image tells what it was made from."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import CorruptPayload

BUNDLE_ID = bytes(range(8))
POISON = b"poison"


def packet_of(payload: bytes, height: int = 64, width: int = 96, bundle_id: bytes = BUNDLE_ID) -> bytes:
    """Return a valid packet around `payload`."""
    return Packet(3, payload).serialize(SessionFacts(bundle_id, height, width))


@dataclass(frozen=True, eq=False)
class FakeFrame:
    image: NDArray[np.uint8]
    mask: NDArray[np.float32]
    disparity: NDArray[np.float32]
    warped: NDArray[np.uint8]
    ms: dict[str, float] = field(default_factory=dict)
    side_refused: bool = False
    side_restored: bool = False


class FakeDecoder:
    """Rebuild each frame as (first payload byte, red of the side view or 255, steps or 0); slow on demand."""

    def __init__(self, seconds: float = 0.0, gate: threading.Event | None = None) -> None:
        self.seconds, self.gate = seconds, gate
        self.batches: list[list[tuple[str, int]]] = []
        self.restores = True

    def opened(self, _bundle: object, _device: str, restores: bool = True) -> FakeDecoder:
        """Stand in for `open_decoder`."""
        self.restores = restores
        return self

    def decode(self, request) -> FakeFrame:  # type: ignore[no-untyped-def]
        return self.decode_batch([request])[0]

    def decode_batch(self, requests: Sequence) -> list[FakeFrame]:  # type: ignore[type-arg]
        self.batches.append([(r.stream, r.frame) for r in requests])
        if self.gate is not None:
            assert self.gate.wait(60)
        time.sleep(self.seconds * len(requests))
        return [self._frame(request) for request in requests]

    def _frame(self, request) -> FakeFrame:  # type: ignore[no-untyped-def]
        facts = SessionFacts(BUNDLE_ID, request.height, request.width)
        payload = Packet.parse(request.packet, facts).payload
        if payload.startswith(POISON):
            raise CorruptPayload("poisoned")
        if payload.startswith(b"crash"):
            raise ZeroDivisionError("a defect")
        shape = (request.height, request.width)
        image = np.zeros((*shape, 3), np.uint8)
        image[..., 0] = payload[0] if payload else 0
        image[..., 1] = 255 if request.side is None else request.side[0, 0, 0]
        image[..., 2] = request.steps or 0
        plane = np.zeros(shape, np.float32)
        restored = self.restores and getattr(request, "side_lossy", False)
        return FakeFrame(image, plane, plane, image, {"total": 1.0}, side_restored=restored)
