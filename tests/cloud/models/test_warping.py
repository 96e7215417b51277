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


class TestLanczos:
    def test_whole_pixels_are_exact_and_borders_repeat(self):
        torch.manual_seed(0)
        image = torch.rand(2, 3, 4, 24)
        moved = warp(image, torch.full((2, 1, 4, 24), 5.0), "lanczos")
        assert torch.allclose(moved[..., 5:], image[..., :-5], atol=1e-5)
        assert torch.allclose(moved[..., :5], image[..., :1].expand(-1, -1, -1, 5), atol=1e-5)

    def test_a_flat_picture_stays_flat(self):
        disparity = torch.rand(1, 1, 4, 24) * 9 - 3
        assert torch.allclose(warp(torch.full((1, 3, 4, 24), 0.7), disparity, "lanczos"), torch.tensor(0.7))

    def test_it_follows_a_wave_closer_than_bicubic(self):
        columns = torch.arange(64.0)
        wave = torch.sin(columns * 1.9).expand(1, 1, 4, 64)
        disparity = torch.full((1, 1, 4, 64), 0.5)
        want = torch.sin((columns - 0.5) * 1.9)
        errors = [
            (warp(wave, disparity, mode)[..., 8:-8] - want[8:-8]).abs().mean()
            for mode in ("lanczos", "bicubic")
        ]
        assert errors[0] < 0.5 * errors[1]

    def test_it_has_gradients_in_disparity(self):
        disparity = torch.full((1, 1, 4, 16), 2.3, requires_grad=True)
        warp(torch.arange(16.0).repeat(1, 1, 4, 1), disparity, "lanczos").sum().backward()
        assert torch.isfinite(disparity.grad).all() and disparity.grad.abs().sum() > 0
