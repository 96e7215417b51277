"""Our codec in the benchmark, with both ends faked."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.rd.ours import Ours, parse_qualities, thin
from common.errors import UsageError


@dataclass
class Request:
    packet: bytes
    height: int
    width: int
    side: Any
    steps: Any = None
    fields: dict = field(default_factory=dict)


class Encoder:
    def encode(self, image, quality):
        packet = bytes([quality]) * (10 + 5 * quality)
        return SimpleNamespace(packet=packet, quality=quality, ms={"entropy": 1.0, "total": 2.0 + quality})


class Decoder:
    def __init__(self):
        self.requests = []

    def decode(self, request):
        self.requests.append(request)
        shape, level = (request.height, request.width), 0 if request.side is None else 100
        image = np.full((*shape, 3), level + request.packet[0], np.uint8)
        return SimpleNamespace(image=image, mask=np.full(shape, level / 100, np.float32), ms={"total": 5.0})


def test_packets_are_what_is_decoded_and_counted():
    decoder = Decoder()
    ours = Ours(Encoder(), decoder, Request, steps=2)
    main, side = np.zeros((64, 96, 3), np.uint8), np.ones((64, 96, 3), np.uint8)
    pictures = ours.code(main, side, (0, 3))
    assert [(p.quality, p.packet_bytes) for p in pictures] == [(0, 10), (3, 25)]
    assert [int(p.image[0, 0, 0]) for p in pictures] == [100, 103]
    assert pictures[1].encode_ms["total"] == 5.0 and pictures[1].decode_ms == {"total": 5.0}
    assert [(r.height, r.width, r.steps) for r in decoder.requests] == [(64, 96, 2)] * 2
    assert decoder.requests[0].side is side
    alone = ours.code(main, None, (1,))
    assert alone[0].mask.max() == 0


def test_qualities_are_read_and_checked():
    assert parse_qualities(None, 3) == (0, 1, 2)
    assert parse_qualities("4, 0,4", 8) == (0, 4)
    for bad in ("8", "-1", "a", "", "1,,2"):
        with pytest.raises(UsageError, match="from 0 to 7"):
            parse_qualities(bad, 8)


def test_thin_keeps_the_ends_and_the_middle():
    assert thin(tuple(range(8))) == (0, 4, 7)
    assert thin((3,)) == (3,)
