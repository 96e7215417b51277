"""Tiny stereo folders of the protocol's size and a codec without networks."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.rd.controls import shift_right
from benchmarks.robust.probe import Probe


@dataclass(frozen=True)
class Config:
    steps: int = 1
    threshold: float = 0.2


@dataclass(frozen=True)
class Request:
    packet: bytes
    height: int
    width: int
    side: Any
    steps: Any = None
    side_lossy: bool = False


@dataclass(frozen=True)
class CaptionRequest(Request):
    caption: Any = None


class Encoder:
    def encode(self, image, quality):
        kept = cv2.imencode(".png", cv2.resize(image, (16, 8), interpolation=cv2.INTER_AREA))[1].tobytes()
        return SimpleNamespace(packet=bytes([quality]) + kept)


class Decoder:
    """Paints a blurred main view; the side view, moved by the drives' 7 pixels, sharpens it under the mask, a ramp."""

    def __init__(self):
        self.config = Config()
        self.model, self.doubled, self.large = (SimpleNamespace(config=self.config) for _ in range(3))
        self.requests = []

    def decode(self, request):
        self.requests.append(request)
        small = cv2.imdecode(np.frombuffer(request.packet[1:], np.uint8), cv2.IMREAD_COLOR)
        image = cv2.resize(small, (request.width, request.height)).astype(np.float32)
        mask = np.tile(np.linspace(0, 1, request.width, dtype=np.float32), (request.height, 1))
        network = self.doubled if request.packet[0] >= 5 else self.model
        mask[mask < network.config.threshold] = 0
        if request.side is None:
            mask = np.zeros_like(mask)
        else:
            image += (0.5 * mask)[..., None] * (shift_right(request.side, 7) - image)
        image += request.steps or 0
        return SimpleNamespace(image=np.clip(image, 0, 255).astype(np.uint8), mask=mask)


@pytest.fixture
def decoder():
    return Decoder()


@pytest.fixture
def probe(decoder):
    return Probe(Encoder(), decoder, Request)


@pytest.fixture
def caption_probe(decoder):
    return Probe(Encoder(), decoder, CaptionRequest)


def write_drive(folder, count, seed, step=12, first=0):
    """Write a drive: one long picture, seen through a window that moves on frame by frame."""
    rng = np.random.default_rng(seed)
    width = 740 + step * count + 40
    world = cv2.resize(rng.integers(0, 255, (24, width // 16, 3), dtype=np.uint8), (width, 372))
    for i in range(count):
        for view, start in (("left", step * i), ("right", step * i + 20)):
            (folder / view).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / view / f"{first + i:06d}.png"), world[:, start : start + 740])


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A sequence of seven frames and two single pairs."""
    folder = tmp_path_factory.mktemp("data")
    write_drive(folder / "seq_a", 7, seed=1)
    write_drive(folder / "pairs_b", 2, seed=2, first=40)
    return folder
