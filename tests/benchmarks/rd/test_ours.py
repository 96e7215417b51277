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
    side_lossy: bool = False
    fields: dict = field(default_factory=dict)


class Encoder:
    codec = SimpleNamespace(
        entropy_bits=lambda symbols, quality, contexts: 8.0 * symbols + quality + contexts
    )

    def encode(self, image, quality):
        packet = bytes([quality]) * (10 + 5 * quality)
        coded = SimpleNamespace(payload=packet[3:], symbols=len(packet) - 4)
        ms = {"entropy": 1.0, "total": 2.0 + quality}
        view = SimpleNamespace(quality=quality, contexts=0)
        return SimpleNamespace(packet=packet, quality=quality, ms=ms, coded=coded, view=view)


class Decoder:
    def __init__(self):
        self.requests = []

    def decode(self, request):
        self.requests.append(request)
        shape, level = (request.height, request.width), 0 if request.side is None else 100
        image = np.full((*shape, 3), level + request.packet[0], np.uint8)
        mask, disparity = np.full(shape, level / 100, np.float32), np.full(shape, 7, np.float32)
        return SimpleNamespace(image=image, mask=mask, disparity=disparity, warped=image, ms={"total": 5.0})


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
    assert [(p.payload_bytes, p.information_bits) for p in pictures] == [(7, 48.0), (22, 171.0)]
    assert pictures[0].disparity.max() == 7 and pictures[0].warped.shape == main.shape
    ours.code(main, side, (1,), lossy=True)
    assert [r.side_lossy for r in decoder.requests] == [False, False, True]
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
