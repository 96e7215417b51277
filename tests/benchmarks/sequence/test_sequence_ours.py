"""Our codec on a drive: whole packets count; frame number and side view reach the decoder; time mends."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.sequence.ours import STREAM, SequenceCoder, decoder_fingerprint


def test_packets_are_counted_whole(clip, fakes):
    told = []
    coded = fakes.coder.encode(clip.main, 2, told.append)
    assert [len(p) for p in coded.packets] == list(coded.counted) == [60] * 4
    assert sum(told) == 4


def test_a_request_carries_what_arrived(clip, fakes):
    coder = SequenceCoder(fakes.encoder, fakes.decoder, SimpleNamespace, steps=2)
    packet = coder.encode(clip.main, 1).packets[3]
    rebuilt = coder.decode(packet, 3, clip.side[3])
    (request,) = fakes.decoder.requests
    assert (request.packet, request.height, request.width, request.frame) == (packet, 112, 180, 3)
    assert (request.stream, request.steps) == (STREAM, 2)
    assert request.side is clip.side[3]
    assert rebuilt.image.shape == (112, 180, 3) and rebuilt.disparity.max() == 6


def test_the_clouds_own_fusion_mends_what_was_decoded(clip, fakes):
    pytest.importorskip("cloud.temporal.stream", reason="this checkout has no temporal fusion")
    coder = SequenceCoder(fakes.encoder, fakes.decoder, SimpleNamespace)
    packets, mending = coder.encode(clip.main, 0).packets, coder.mending()
    frames = [coder.decode(packets[i], i, clip.side[i]) for i in range(2)]
    shown = [mending.step(frame, i, clip.side[i]) for i, frame in enumerate(frames)]
    assert np.array_equal(shown[0], frames[0].image)  # the first frame has no past
    assert shown[1].shape == frames[1].image.shape and shown[1].dtype == np.uint8


def test_the_decoders_code_has_a_fingerprint():
    assert decoder_fingerprint() == decoder_fingerprint() and len(decoder_fingerprint()) == 16
