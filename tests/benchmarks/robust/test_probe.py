"""Turning everything that can be turned, and nothing else."""

import numpy as np
import pytest

MAIN = np.random.default_rng(0).integers(0, 255, (128, 256, 3), dtype=np.uint8)
SIDE = np.full((128, 256, 3), 200, np.uint8)


def test_requests_carry_what_was_asked(probe, decoder):
    packet = probe.packet(MAIN, 3)
    assert packet[0] == 3
    probe.decode(packet, (128, 256), SIDE, steps=4)
    request = decoder.requests[-1]
    assert (request.height, request.width, request.steps) == (128, 256, 4) and request.side is SIDE
    probe.decode(packet, (128, 256), None)
    assert decoder.requests[-1].side is None and decoder.requests[-1].steps is None


@pytest.mark.parametrize("quality", [3, 6], ids=["own size", "double size"])
def test_the_threshold_is_set_for_one_call(probe, decoder, quality):
    packet = probe.packet(MAIN, quality)
    before = decoder.config
    for threshold, least in ((0.6, 0.6), (0.0, 0.0)):
        mask = probe.decode(packet, (128, 256), SIDE, threshold=threshold).mask
        assert mask[mask > 0].min() >= least
        assert all(one.config is before for one in (decoder, decoder.model, decoder.doubled, decoder.large))
    assert (mask > 0).sum() > 250 * 128
    mask = probe.decode(packet, (128, 256), SIDE).mask
    assert 0.2 <= mask[mask > 0].min() < 0.3


def test_the_threshold_comes_back_after_an_error(probe, decoder):
    with pytest.raises(Exception, match=r".+"):
        probe.decode(b"", (128, 256), SIDE, threshold=0.5)
    assert decoder.config.threshold == decoder.model.config.threshold == 0.2


def test_captions_only_where_the_decoder_takes_them(probe, caption_probe, decoder):
    assert not probe.takes_captions and caption_probe.takes_captions
    packet = probe.packet(MAIN, 3)
    caption_probe.decode(packet, (128, 256), SIDE, caption="")
    assert decoder.requests[-1].caption == ""
    caption_probe.decode(packet, (128, 256), SIDE)
    assert decoder.requests[-1].caption is None


def test_the_real_decoder_has_what_is_turned():
    pytest.importorskip("diffusers", reason="diffusers (extra cloud) is not installed")
    import dataclasses

    from cloud.decoder import DecodeRequest
    from cloud.models.codec import ModelConfig

    assert dataclasses.replace(ModelConfig(), threshold=0.7).threshold == 0.7
    assert {"packet", "height", "width", "side", "steps"} <= {
        f.name for f in dataclasses.fields(DecodeRequest)
    }
