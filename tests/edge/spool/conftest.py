"""A spool and frames to put into it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.types import SideCodec
from edge.spool import Spool, SpoolFormat, SpoolFrame


def form(codec: SideCodec = SideCodec.JPEG, bundle: str = "00" * 8) -> SpoolFormat:
    return SpoolFormat(1, bundle, 64, 96, 64, 96, int(codec))


def frame(number: int, **changes) -> SpoolFrame:
    settings = {
        "camera_seq": number,
        "taken_ns": time.monotonic_ns(),
        "capture_ns": 10**18 + number,
        "packet": bytes([number % 256]) * 50,
        "side": b"s" * 200,
    }
    return SpoolFrame(**(settings | changes))


class Frames:
    """The functions above, for tests (test folders are no packages, so they cannot import each other)."""

    form = staticmethod(form)
    frame = staticmethod(frame)


@pytest.fixture
def make() -> type[Frames]:
    return Frames


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    spool = Spool(folder, 1 << 20)
    yield spool
    spool.close()
