"""cloud.models.warping: the warp is exact and has gradients."""

import torch

from cloud.models.warping import warp


def test_warp_moves_by_whole_and_half_pixels():
    image = torch.arange(16.0).repeat(1, 1, 4, 1)
    whole = warp(image, torch.full((1, 1, 4, 16), 3.0))
    assert torch.allclose(whole[..., 3:], image[..., :-3], atol=1e-4)
    assert torch.allclose(whole[..., :3], image[..., :1].expand(-1, -1, -1, 3), atol=1e-4), "borders repeat"
    half = warp(image, torch.full((1, 1, 4, 16), 0.5))
    assert torch.allclose(half[..., 1:], image[..., 1:] - 0.5, atol=1e-4)


def test_warp_has_gradients_in_disparity():
    disparity = torch.full((1, 1, 4, 16), 2.3, requires_grad=True)
    warp(torch.arange(16.0).repeat(1, 1, 4, 1), disparity).sum().backward()
    assert disparity.grad.abs().sum() > 0


def test_bicubic_warp_keeps_more_contrast_than_bilinear():
    torch.manual_seed(0)
    texture = torch.rand(1, 1, 8, 64)
    disparity = torch.full((1, 1, 8, 64), 2.5)
    linear, cubic = (warp(texture, disparity, mode)[..., 8:].std() for mode in ("bilinear", "bicubic"))
    assert cubic > linear * 1.1
