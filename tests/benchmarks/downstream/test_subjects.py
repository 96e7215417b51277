"""Every picture of a pair is made, AV1 at our bytes among them."""

import numpy as np
import pytest

from benchmarks.downstream import subjects
from benchmarks.rd.codecs import Coded
from common.quality import psnr


class Picture:
    def __init__(self, quality, packet_bytes, image):
        self.quality, self.packet_bytes, self.image = quality, packet_bytes, image
        self.mask = np.full(image.shape[:2], 0.25, np.float32)


class FakeOurs:
    def code(self, main, side, qualities, lossy=False):
        return [Picture(q, 30 + 1000 * q, main) for q in qualities]


class Posterise:
    """Stands in for AV1: 10 bytes for every step and thousand pixels."""

    def code(self, image, setting):
        return Coded(
            (64 - setting) * (image.shape[0] * image.shape[1] // 1000) * 10, image // setting * setting
        )


@pytest.fixture
def found(pair, monkeypatch):
    monkeypatch.setitem(subjects.CODECS, "av1", Posterise())
    return subjects.candidates(pair, FakeOurs(), (0, 3))


def test_every_kind_is_there(found, pair):
    keys = [(c.subject.method, c.subject.setting) for c in found]
    assert keys == [
        ("mdic", 0), ("mdic", 3), ("av1", 0), ("av1-shrunk", 0), ("av1", 3), ("av1-shrunk", 3),
        ("side-copied", None), ("best-shift", None), ("oracle-warp", None), ("jpeg-90", None),
    ]  # fmt: skip
    assert all(c.image.shape == pair.main.shape and c.image.dtype == np.uint8 for c in found)
    by_key = dict(zip(keys, found, strict=True))
    assert by_key["mdic", 3].payload_bytes == 3030 and by_key["mdic", 3].extra == {"mask_mean": 0.25}
    assert by_key["best-shift", None].extra == {"note": "10 px"}
    assert by_key["oracle-warp", None].payload_bytes is None
    assert psnr(pair.main, by_key["jpeg-90", None].image) > 25


def test_av1_has_our_bytes(found):
    sizes = {
        (c.subject.method, c.subject.setting): (c.payload_bytes, c.extra) for c in found if "crf" in c.extra
    }
    assert abs(sizes["av1", 3][0] - 3030) <= 115  # half a step of 230 bytes
    assert sizes["av1", 3] == sizes["av1-shrunk", 3]  # nothing had to be shrunk
    assert sizes["av1", 0] == (230, {"crf": 63, "factor": 1})  # too large: 96 rows cannot be shrunk either
    assert sizes["av1-shrunk", 0] == sizes["av1", 0]
