"""cloud.models.pixels: the blend trusts the warp only where the mask says so."""

import torch

from cloud.models.pixels import PixelDecoder


def images():
    torch.manual_seed(0)
    return torch.randn(1, 96, 16, 24), torch.rand(1, 3, 64, 96), -torch.rand(1, 3, 64, 96)


def test_an_untrained_decoder_blends_warp_and_painting():
    hidden, warped, painted = images()
    with torch.no_grad():
        out = PixelDecoder()(hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.2)
    assert torch.allclose(out.image, out.mask * warped + (1 - out.mask) * painted, atol=1e-5)


def test_below_the_threshold_nothing_of_the_warp_shows():
    hidden, warped, painted = images()
    with torch.no_grad():
        out = PixelDecoder()(hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.999)
    assert float(out.mask.max()) == 0 and torch.allclose(out.image, painted, atol=1e-5)


def test_without_a_side_view_the_mask_is_empty():
    hidden, warped, painted = images()
    with torch.no_grad():
        decoder = PixelDecoder()
        a = decoder(hidden, warped * 0, painted, torch.zeros(1, 1, 1, 1), 0.0)
    assert float(a.mask.max()) == 0
