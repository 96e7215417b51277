"""cloud.models.geometry: the warp is exact, matching finds what can be found, frames of any shape pass."""

import torch

from cloud.models import geometry
from cloud.models.geometry import GeometryCore, RowMatch, SideFeatures, warp


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


def test_matching_the_same_features_finds_the_shift():
    torch.manual_seed(0)
    match = RowMatch(32, 32, sharpness=0.1, depth=32)
    match.key.load_state_dict(match.query.state_dict())
    with torch.no_grad():
        match.temperature.fill_(3.5)
    side = torch.randn(1, 32, 6, 40)
    x = torch.roll(side, 4, dims=3)
    with torch.no_grad():
        found = match(x, side, torch.full((1, 1, 6, 40), 3.0))
    assert (found.disparity[..., 6:] - 4).abs().mean() < 0.3
    assert (found.peak[..., 6:] > 0.5).float().mean() > 0.9


def test_matching_in_chunks_changes_nothing(monkeypatch):
    torch.manual_seed(0)
    match = RowMatch(8, 8, 0.5)
    x, side, prior = torch.randn(1, 8, 7, 12), torch.randn(1, 8, 7, 12), torch.zeros(1, 1, 7, 12)
    with torch.no_grad():
        whole = match(x, side, prior)
        monkeypatch.setattr(geometry, "_SCORES_PER_CHUNK", 300)
        parts = match(x, side, prior)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_core_gives_full_resolution_geometry_and_every_level():
    torch.manual_seed(0)
    features, core = SideFeatures(4), GeometryCore(4, 8)
    side = torch.rand(2, 3, 64, 128) * 2 - 1
    present = torch.tensor([1.0, 0.0])[:, None, None, None]
    with torch.no_grad():
        out = core(
            torch.randn(2, 4, 4, 8),
            torch.tensor([0, 7]),
            side,
            features(side, torch.randn(2, 4, 4, 8), present),
            present,
        )
    assert out.disparity.shape == (2, 1, 64, 128) and out.warped.shape == (2, 3, 64, 128)
    assert out.hidden8.shape == (2, 96, 8, 16) and out.hidden4.shape == (2, 96, 16, 32)
    assert [tuple(level.shape[-2:]) for level in out.levels] == [
        (4, 8),
        (4, 8),
        (8, 16),
        (16, 32),
        (16, 32),
        (16, 32),
    ]


def test_an_absent_side_view_tells_nothing():
    features = SideFeatures(4)
    present = torch.zeros(1, 1, 1, 1)
    with torch.no_grad():
        out = features(torch.rand(1, 3, 64, 64), torch.rand(1, 4, 4, 4), present)
    assert all(float(level.abs().max()) == 0 for level in out)
