"""The low-delay codecs: one packet a frame, one intra frame, prediction over time, rates that count pictures only."""

import importlib.util
import os

import numpy as np
import pytest

from benchmarks.sequence import lowdelay
from benchmarks.sequence.lowdelay import CODECS, CodedVideo, codec_named, kbps
from common.errors import MdicError, UsageError
from common.quality import psnr

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("av") is None, reason="av (extra bench) is not installed"
)


def pan(count=4, height=96, width=150):
    """A textured world that moves two pixels a frame."""
    y, x = np.mgrid[:height, : width + 2 * count].astype(float)
    planes = [
        127 + 60 * np.sin(x / (5 + c)) * np.cos(y / (4 + c)) + 30 * np.sin(x * y / 300) for c in range(3)
    ]
    world = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(world[:, 2 * i : 2 * i + width]) for i in range(count)]


@pytest.mark.parametrize("name", sorted(CODECS))
def test_drives_come_back_in_order_and_better_at_a_finer_setting(name):
    codec, frames = codec_named(name), pan()
    told = []
    coarse, fine = codec.encode(frames, codec.coarsest, told.append), codec.encode(frames, codec.ladder[-1])
    assert sum(told) == len(frames)
    assert len(fine.packets) == len(frames)
    for coded in (coarse, fine):
        assert all(0 < c < len(p) for c, p in zip(coded.counted, coded.packets, strict=True))
    assert coarse.bytes_a_frame < fine.bytes_a_frame
    shown = list(codec.decode(fine, *frames[0].shape[:2]))
    assert [s.shape for s in shown] == [f.shape for f in frames]
    for i, picture in enumerate(shown):
        scores = [psnr(frame, picture) for frame in frames]
        assert int(np.argmax(scores)) == i
    rough = list(codec.decode(coarse, *frames[0].shape[:2]))
    assert np.mean([psnr(f, p) for f, p in zip(frames, rough, strict=True)]) < np.mean(
        [psnr(f, p) for f, p in zip(frames, shown, strict=True)]
    )


@pytest.mark.parametrize("name", sorted(CODECS))
def test_later_frames_are_predicted_from_earlier_ones(name):
    codec = codec_named(name)
    still = [pan(1)[0]] * 3
    coded = codec.encode(still, codec.ladder[2])
    assert max(coded.counted[1:]) < coded.counted[0] / 2
    # No frame looks ahead: the first ones are coded the same whatever comes later.
    assert codec.encode(still[:2], codec.ladder[2]).packets == coded.packets[:2]


def test_an_encoder_that_holds_frames_back_is_refused(monkeypatch):
    monkeypatch.setattr(
        lowdelay.HevcLowDelay, "_params", staticmethod(lambda: "bframes=3:rc-lookahead=10:log-level=none")
    )
    real = lowdelay._encode

    def without_zerolatency(name, options, images, progress):
        options.pop("tune")
        return real(name, options, images, progress)

    monkeypatch.setattr(lowdelay, "_encode", without_zerolatency)
    with pytest.raises(MdicError, match="not in its low-delay mode"):
        codec_named("hevc").encode(pan(3), 40)


def test_half_size_costs_less_and_keeps_odd_sizes():
    frames = pan(2, 95, 151)
    whole, half = codec_named("av1").encode(frames, 62), codec_named("av1-half").encode(frames, 62)
    assert half.bytes_a_frame < whole.bytes_a_frame
    assert [p.shape for p in codec_named("av1-half").decode(half, 95, 151)] == [(95, 151, 3)] * 2


def test_av1_leaves_the_scheduling_class_as_it_was():
    if not hasattr(os, "sched_getscheduler"):
        pytest.skip("this system has no scheduling classes")
    before = os.sched_getscheduler(0)
    codec_named("av1").encode(pan(2, 64, 64), 60)
    assert os.sched_getscheduler(0) == before


def test_rates_are_thousands_of_bits_at_ten_frames_a_second():
    assert kbps(400) == 32.0
    assert CodedVideo([b"", b""], [1000, 200]).kbps == 48.0


def test_unknown_codecs_are_named():
    with pytest.raises(UsageError, match="vvc"):
        codec_named("vvc")
