"""The search for AV1 at our bytes, on a codec whose sizes are known."""

import numpy as np
import pytest

from benchmarks.downstream.rivals import COARSEST, EqualBytes
from benchmarks.rd.codecs import Coded


class Ladder:
    """Takes (64 - setting) bytes for every thousand pixels and returns the picture; counts its calls."""

    name, label, ladder = "ladder", "Ladder", ()

    def __init__(self):
        self.calls = []

    def code(self, image, setting):
        self.calls.append((image.shape[:2], setting))
        return Coded((64 - setting) * (image.shape[0] * image.shape[1] // 1000), image)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (200, 400, 3), dtype=np.uint8)  # 80 bytes a step


@pytest.mark.parametrize(
    ("target", "setting"), [(80, 63), (800, 54), (830, 54), (850, 53), (1e9, 1), (5040, 1)]
)
def test_the_nearest_setting_is_found(image, target, setting):
    codec = Ladder()
    found = EqualBytes(codec, image).whole(int(target))
    assert (found.setting, found.factor) == (setting, 1)
    assert found.payload_bytes == (64 - setting) * 80
    assert len(codec.calls) <= 8


def test_nothing_is_coded_twice(image):
    codec = Ladder()
    search = EqualBytes(codec, image)
    for target in (90, 800, 790, 2000, 90):
        search.whole(target)
        search.shrunk(target)
    assert len(codec.calls) == len(set(codec.calls))


def test_too_few_bytes_give_the_coarsest_whole_picture_and_a_shrunken_one(image):
    search = EqualBytes(Ladder(), image)
    assert search.whole(25).setting == COARSEST
    shrunk = search.shrunk(25)  # halved, a step takes 20 bytes
    assert (shrunk.factor, shrunk.payload_bytes) == (2, 20)
    assert shrunk.image.shape == image.shape and shrunk.image.dtype == np.uint8
    assert search.shrunk(9).factor == 3  # 133 x 66 pixels


def test_what_fits_whole_is_not_shrunk(image):
    search = EqualBytes(Ladder(), image)
    assert search.shrunk(80) is None
    assert search.shrunk(73) is None  # within a tenth
    assert search.shrunk(70) is not None


def test_small_pictures_cannot_be_shrunk():
    assert EqualBytes(Ladder(), np.zeros((100, 400, 3), np.uint8)).shrunk(1) is None
