"""cloud.models.pattern: what repeats with a grid goes, pictures and slopes stay."""

import pytest
import torch
import torch.nn.functional as F

from cloud.models.pattern import without_pattern


@pytest.mark.parametrize("period", [8, 16])
@pytest.mark.parametrize("cells", [(12, 16), (11.5, 16.5)])
def test_what_repeats_with_the_grid_is_taken_out(period: int, cells: tuple[float, float]) -> None:
    torch.manual_seed(3)
    height, width = (round(period * count) for count in cells)
    wanted = F.interpolate(torch.randn(2, 3, 4, 6), size=(height, width), mode="bicubic")
    pattern = torch.randn(1, 3, period, period)
    pattern = (pattern - pattern.mean((2, 3), keepdim=True)).repeat(1, 1, 12, 17)[:, :, :height, :width]
    assert pattern.square().mean() > 0.5
    assert (without_pattern(wanted + pattern, period) - wanted).square().mean() < 0.1


def test_flat_pictures_and_slopes_stay() -> None:
    flat = torch.full((1, 3, 4, 8), 0.5)
    torch.testing.assert_close(without_pattern(flat, 8), flat)
    slope = torch.linspace(-1, 1, 132).expand(1, 3, 96, 132)
    inner = (slice(None), slice(None), slice(40, -40), slice(40, -40))
    torch.testing.assert_close(without_pattern(slope, 8)[inner], slope[inner], atol=1e-3, rtol=0)
