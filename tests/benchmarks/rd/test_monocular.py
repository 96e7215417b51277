"""The monocular prior comes from the side view alone, at the place it belongs to."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.rd.monocular import STRIDE, at_full_resolution, monocular_disparity, monocular_warp
from common.errors import MdicError


def test_coarse_values_land_on_their_pixels():
    coarse = np.arange(6, dtype=np.float32)[None].repeat(4, 0)  # cell i's centre is pixel 16 i + 7.5
    fine = at_full_resolution(coarse, 50, 90)
    assert fine.shape == (50, 90)
    assert fine[20, 39] == pytest.approx((39 - 7.5) / STRIDE)
    assert fine[0, 0] == 0


def test_warp_moves_the_side_view_to_the_right():
    side = (np.arange(64, dtype=np.uint8) * 3)[None, :, None].repeat(8, 0).repeat(3, 2)
    warped = monocular_warp(side, np.full((8, 64), 5, np.float32))
    assert np.array_equal(warped[:, 5:], side[:, :-5])


def test_a_decoder_without_a_geometry_core_is_named():
    as_it_is = SimpleNamespace(
        coded_view=lambda q, height, width: SimpleNamespace(height=height, width=width)
    )
    encoder = SimpleNamespace(encode=lambda image, quality: SimpleNamespace(packet=b""), bundle=as_it_is)
    with pytest.raises(MdicError, match="no geometry core"):
        monocular_disparity(encoder, SimpleNamespace(), dict, np.zeros((64, 64, 3), np.uint8))


@pytest.mark.slow
def test_the_bundle_gives_a_prior_that_depends_on_the_side_view_and_not_on_the_main_view():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from cloud.decoder import Decoder, DecodeRequest
    from common.bundle import Bundle
    from common.synthetic import StereoStreet
    from edge.encoder import Encoder

    bundle = Bundle.load()
    encoder, decoder = Encoder(bundle), Decoder(bundle, device="cpu")
    frames = [StereoStreet(seed, height=128, width=256).frame(0) for seed in (1, 2)]
    first = monocular_disparity(encoder, decoder, DecodeRequest, frames[0].side)
    assert first.shape == (128, 256) and first.dtype == np.float32 and np.isfinite(first).all()
    assert (first >= 0).all()
    assert not np.allclose(
        first, monocular_disparity(encoder, decoder, DecodeRequest, frames[1].side), atol=0.1
    )

    # Large frames may have weights of their own, and so a prior of their own.
    wide = StereoStreet(1, height=320, width=448).frame(0).side
    assert monocular_disparity(encoder, decoder, DecodeRequest, wide).shape == (320, 448)

    # A packet that does say something of the main view must leave the prior as it is.
    caught = []
    handle = decoder.model.geometry.register_forward_hook(
        lambda _m, _i, out: caught.append(out.levels[0].clone())
    )
    packet = encoder.encode(frames[0].main, 3).packet  # the highest that is coded at its own size
    decoder.decode(DecodeRequest(packet=packet, height=128, width=256, side=frames[0].side))
    handle.remove()
    told = at_full_resolution(caught[0][0, 0].numpy(), 128, 256)
    assert torch.allclose(torch.from_numpy(told), torch.from_numpy(first), atol=1e-4)
