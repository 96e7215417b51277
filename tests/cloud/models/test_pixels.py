"""cloud.models.pixels: the blend trusts the warp only where the mask says so."""

import torch

from cloud.models.pixels import PixelDecoder


def decoder(feedback=False, mask=True):
    torch.manual_seed(1)
    return PixelDecoder(4, feedback, mask)


LATENTS = torch.zeros(1, 4, 4, 6)


def transform(image):
    return torch.nn.functional.avg_pool2d(image, 16).repeat(1, 2, 1, 1)[:, :4]


def images():
    torch.manual_seed(0)
    return torch.randn(1, 96, 16, 24), torch.rand(1, 3, 64, 96), -torch.rand(1, 3, 64, 96)


def test_an_untrained_decoder_blends_warp_and_painting():
    hidden, warped, painted = images()
    with torch.no_grad():
        out = decoder()(hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.2, LATENTS, transform)
    assert torch.allclose(out.image, out.mask * warped + (1 - out.mask) * painted, atol=1e-5)


def test_below_the_threshold_nothing_of_the_warp_shows():
    hidden, warped, painted = images()
    with torch.no_grad():
        out = decoder()(hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.999, LATENTS, transform)
    assert float(out.mask.max()) == 0 and torch.allclose(out.image, painted, atol=1e-5)


def test_without_a_side_view_the_mask_is_empty():
    hidden, warped, painted = images()
    with torch.no_grad():
        a = decoder()(hidden, warped * 0, painted, torch.zeros(1, 1, 1, 1), 0.0, LATENTS, transform)
    assert float(a.mask.max()) == 0


def test_without_a_mask_the_warp_is_all_there_is():
    hidden, warped, painted = images()
    with torch.no_grad():
        out = decoder(mask=False)(hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.2, LATENTS, transform)
    assert float(out.mask.min()) == 1 and torch.allclose(out.image, warped, atol=1e-5)


def test_feedback_corrects_what_the_latents_deny():
    hidden, warped, painted = images()
    model = decoder(feedback=True)
    torch.nn.init.normal_(model.correction.weight, std=0.1)
    with torch.no_grad():
        parts = (hidden, warped, painted, torch.ones(1, 1, 1, 1), 0.2)
        a, b = model(*parts, LATENTS, transform), model(*parts, LATENTS + 1, transform)
    assert not torch.allclose(a.image, b.image) and torch.equal(a.mask, b.mask)
