"""cloud.models.framing: geometry is scaled, detail comes from the side view, and nothing where it is not trusted."""

import pytest
import torch
import torch.nn.functional as F

from cloud.models.framing import TRUSTED, Framed, frame
from cloud.models.warping import warp


def scene(height: int, width: int, shift: float):
    """Return a side view and the main view that is the same `shift` pixels to the right."""
    generator = torch.Generator().manual_seed(0)
    side = torch.rand(1, 3, height, width, generator=generator) * 2 - 1
    return side, warp(side, torch.full((1, 1, height, width), shift), "lanczos")


def coded(side, main, scale: float, shift: float, mask: float) -> Framed:
    """Return what a decoder would rebuild of `main` at another size: blurred, its geometry right."""
    size = [round(edge * scale) for edge in side.shape[2:]]
    mode = "area" if scale < 1 else "bilinear"
    small = F.interpolate(side, size=size, mode=mode)
    disparity = torch.full((1, 1, *size), shift * scale)
    return Framed(
        F.interpolate(main, size=size, mode=mode),
        warp(small, disparity),
        torch.full_like(disparity, mask),
        disparity,
    )


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("upright", [False, True])
def test_geometry_is_scaled_and_detail_comes_back(scale, upright):
    side, main = scene(64, 96, 4)
    small = coded(side, main, scale, 4, 1)
    whole = frame(small, side, "lanczos", upright)
    assert [part.shape for part in whole] == [(1, 3, 64, 96), (1, 3, 64, 96), (1, 1, 64, 96), (1, 1, 64, 96)]
    torch.testing.assert_close(whole.disparity, torch.full((1, 1, 64, 96), 4.0), rtol=0, atol=1e-3)
    inner = (slice(None), slice(None), slice(8, -8), slice(12, -12))
    without = frame(small._replace(mask=torch.zeros_like(small.mask)), side, "lanczos", upright)
    error, blurred = ((part.image - main)[inner].abs().mean() for part in (whole, without))
    assert error < blurred / 3
    torch.testing.assert_close(whole.warped[inner], main[inner], rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_where_the_mask_is_shut_the_side_view_shows_nothing(scale):
    side, main = scene(64, 96, 4)
    small = coded(side, main, scale, 4, 0)
    one, other = (frame(small, view, "lanczos", True) for view in (side, torch.zeros_like(side)))
    assert torch.equal(one.image, other.image) and one.mask.max() == 0


def test_a_mask_that_is_nearly_open_lets_all_detail_through():
    side, main = scene(64, 96, 4)
    images = [frame(coded(side, main, 0.5, 4, mask), side, "lanczos", False).image for mask in (TRUSTED, 1.0)]
    torch.testing.assert_close(*images)


def test_odd_sizes_come_out_as_they_were():
    side, main = scene(75, 131, 3)
    small = coded(side, main, 0.5, 3, 1)
    whole = frame(small, side, "lanczos", True)
    assert whole.image.shape == (1, 3, 75, 131)
    assert (whole.disparity - 3 * 131 / 66 * 0.5).abs().max() < 0.01
