"""A drive and stand-ins for our two ends and for the conventional codecs, small enough to be measured in moments."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from benchmarks.sequence import lowdelay
from benchmarks.sequence.clip import Clip
from benchmarks.sequence.lowdelay import CodedVideo
from benchmarks.sequence.ours import SequenceCoder

HEIGHT, WIDTH = 112, 180


class FakeLowDelay:
    """Packets hold the frame itself, coarsely quantised; bytes fall with the setting."""

    coarsest = 70

    def __init__(self, name, ladder=(60, 40, 20)):
        self.name, self.label, self.ladder, self.encoded = name, name.upper(), ladder, []

    def encode(self, images, setting, progress=None):
        self.encoded.append(setting)
        packets = []
        for image in images:
            packets.append((image // setting * setting).astype(np.uint8).tobytes())
            if progress:
                progress(1)
        return CodedVideo(packets, [4000 // setting + 100 * (i == 0) for i in range(len(images))])

    def decode(self, coded, height, width):
        for packet in coded.packets:
            yield np.frombuffer(packet, np.uint8).reshape(height, width, 3)

    def facts(self):
        return {"encoder": f"fake {self.name}"}


class FakeEncoder:
    def __init__(self):
        self.count = 0

    def encode(self, image, quality):
        self.count += 1
        return SimpleNamespace(packet=bytes([quality, int(image.mean())]) * (10 + 10 * quality))


class FakeDecoder:
    """Noise on the side view, less of it at a higher quality."""

    def __init__(self):
        self.requests = []

    def decode(self, request):
        self.requests.append(request)
        rng = np.random.default_rng(request.frame)
        image = request.side + (20 - 4 * request.packet[0]) * rng.normal(0, 1, request.side.shape)
        flat = np.full(request.side.shape[:2], 6, np.float32)
        return SimpleNamespace(
            image=np.clip(image, 0, 255).astype(np.uint8), mask=flat / 6, disparity=flat, ms={}
        )


class FakeFusion:
    """Average with the frame before; complain about a frame left out."""

    def __init__(self):
        self.last = None

    def step(self, rebuilt, frame, capture_ns, side):
        assert capture_ns == frame * 100_000_000 and side.shape == rebuilt.image.shape
        assert frame == (0 if self.last is None else self.last[0] + 1)
        image = (
            rebuilt.image
            if self.last is None
            else (0.5 * rebuilt.image + 0.5 * self.last[1]).astype(np.uint8)
        )
        self.last = frame, image
        return replace(rebuilt, image=image)


@pytest.fixture
def clip():
    """Four frames of a pan; the side camera sees the same, six pixels further."""
    rng = np.random.default_rng(1)
    world = cv2.resize(rng.integers(0, 255, (28, 60, 3), dtype=np.uint8), (240, HEIGHT))
    main = [np.ascontiguousarray(world[:, 2 * i : 2 * i + WIDTH]) for i in range(4)]
    side = [np.ascontiguousarray(world[:, 2 * i + 6 : 2 * i + 6 + WIDTH]) for i in range(4)]
    return Clip("pan", main, side)


@pytest.fixture
def fakes(monkeypatch):
    """Put stand-ins in the place of every codec; `fakes.decoder.requests` tells what was decoded."""
    codecs = {name: FakeLowDelay(name) for name in ("av1", "hevc")}
    monkeypatch.setattr(lowdelay, "CODECS", codecs)
    encoder, decoder = FakeEncoder(), FakeDecoder()
    coder = SequenceCoder(encoder, decoder, SimpleNamespace, fusion=FakeFusion)
    return SimpleNamespace(codecs=codecs, encoder=encoder, decoder=decoder, coder=coder)
