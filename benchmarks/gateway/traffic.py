"""What vehicles send, made before anything is timed: packets of seeded bytes, a small side view."""

from __future__ import annotations

import random

import cv2
import numpy as np

from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts

BUNDLE_ID = b"loadtest"
HEIGHT, WIDTH = 375, 1242
SIDE_HEIGHT, SIDE_WIDTH = 64, 96
MIN_PAYLOAD, MAX_PAYLOAD = 100, 1000
"""Bytes; what the encoder makes of a full frame at the lower qualities (benchmarks/results/rd-full.json)."""
FACTS = SessionFacts(BUNDLE_ID, HEIGHT, WIDTH)


def packets(count: int, seed: int) -> list[bytes]:
    """Return `count` packets that a server accepts; only decoding would notice that their payloads are random."""
    rng = random.Random(seed)
    return [
        Packet(3, rng.randbytes(rng.randint(MIN_PAYLOAD, MAX_PAYLOAD))).serialize(FACTS) for _ in range(count)
    ]


def side_view(seed: int) -> bytes:
    """Return a JPEG image of SIDE_HEIGHT x SIDE_WIDTH."""
    image = np.random.default_rng(seed).integers(0, 256, (SIDE_HEIGHT // 8, SIDE_WIDTH // 8, 3), np.uint8)
    large = cv2.resize(image, (SIDE_WIDTH, SIDE_HEIGHT), interpolation=cv2.INTER_NEAREST)
    return bytes(cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
