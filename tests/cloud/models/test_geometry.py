"""cloud.models.geometry: the warp is exact, matching finds what can be found, frames of any shape pass."""

import pytest
import torch

from cloud.models import geometry
from cloud.models.geometry import Comparison, GeometryCore, GlobalMatch, RowMatch, SideFeatures
from cloud.models.sweep import Swept


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


def transform(image):
    """Stands in for the edge's analysis: 4 channels at stride 16."""
    return torch.nn.functional.avg_pool2d(image, 16).repeat(1, 2, 1, 1)[:, :4]


@pytest.mark.parametrize(("feedback", "search"), [(False, False), (True, False), (False, True), (True, True)])
def test_the_core_gives_full_resolution_geometry_and_every_level(feedback, search):
    torch.manual_seed(0)
    features, core = SideFeatures(4), GeometryCore(4, 8, feedback, search)
    side = torch.rand(2, 3, 64, 128) * 2 - 1
    present = torch.tensor([1.0, 0.0])[:, None, None, None]
    with torch.no_grad():
        out = core(
            torch.randn(2, 4, 4, 8),
            torch.tensor([0, 7]),
            side,
            features(side, torch.randn(2, 4, 4, 8), present),
            present,
            transform,
            torch.randn(2, 4, 4, 8).round(),
            torch.ones(2, 4, 1, 1),
        )
    assert out.disparity.shape == (2, 1, 64, 128) and out.warped.shape == (2, 3, 64, 128)
    assert out.hidden8.shape == (2, 96, 8, 16) and out.hidden4.shape == (2, 96, 16, 32)
    assert [tuple(level.shape[-2:]) for level in out.levels] == [
        (4, 8),
        (4, 8),
        (8, 16),
        *[(16, 32)] * (4 if search else 3),
    ]


def test_feedback_sees_where_the_warp_is_not_what_was_coded():
    torch.manual_seed(0)
    comparison = Comparison(4)
    coded = torch.randn(1, 4, 2, 3)
    with torch.no_grad():
        same, other = comparison(coded, coded), comparison(coded, coded + 1)
    assert same.shape == (1, 16, 8, 12)
    assert not torch.allclose(same, other)


def test_an_absent_side_view_tells_nothing():
    features = SideFeatures(4)
    present = torch.zeros(1, 1, 1, 1)
    with torch.no_grad():
        out = features(torch.rand(1, 3, 64, 64), torch.rand(1, 4, 4, 4), present)
    assert all(float(level.abs().max()) == 0 for level in out)


def test_global_attention_finds_the_shift_on_any_row():
    torch.manual_seed(0)
    match = GlobalMatch(8, 8, 8)
    with torch.no_grad():
        match.query.weight.copy_(torch.eye(8)[:, :, None, None])
        match.key.weight.copy_(torch.eye(8)[:, :, None, None])
        match.query.bias.zero_()
        match.key.bias.zero_()
        match.temperature.fill_(5.0)
    main = torch.randn(1, 8, 6, 10)
    side = torch.roll(
        main, (-2, 1), (3, 2)
    )  # two columns to the left and a row down: no row search finds this
    found = match(main, side, torch.zeros(1, 1, 6, 10))
    torch.testing.assert_close(
        found.disparity[:, :, :-1, 2:], torch.full((1, 1, 5, 8), 2.0), atol=0.05, rtol=0
    )
    torch.testing.assert_close(found.features[:, :, :-1, 2:], main[:, :, :-1, 2:], atol=0.05, rtol=0)
    assert found.peak.min().item() > 0.9 and found.entropy.max().item() < 0.5


def test_global_attention_in_chunks_changes_nothing(monkeypatch):
    torch.manual_seed(0)
    match, main, side = GlobalMatch(8, 8), torch.randn(2, 8, 6, 10), torch.randn(2, 8, 6, 10)
    with torch.no_grad():
        whole = match(main, side, torch.zeros(2, 1, 6, 10))
        monkeypatch.setattr(geometry, "_SCORES_PER_CHUNK", 1000)
        for a, b in zip(whole, match(main, side, torch.zeros(2, 1, 6, 10)), strict=True):
            torch.testing.assert_close(a, b)


def test_upright_is_the_cores_answer_made_upright_and_off_unless_asked_for():
    torch.manual_seed(0)
    features, core = SideFeatures(4), GeometryCore(4, 8)
    torch.nn.init.normal_(core.subpixel.weight)  # it begins at zero: no row would differ from the next
    side = torch.full((1, 3, 64, 128), 0.8)
    side[..., 60:64] = -0.7
    given = (torch.randn(1, 4, 4, 8), torch.tensor([3]), side)
    present = torch.ones(1, 1, 1, 1)
    more = (features(side, torch.randn(1, 4, 4, 8), present), present, transform)
    more += (torch.randn(1, 4, 4, 8).round(), torch.ones(1, 4, 1, 1))
    assert not core.upright
    with torch.no_grad():
        plain = core(*given, *more)
        core.upright = True
        straight = core(*given, *more)
    torch.testing.assert_close(
        straight.disparity, geometry.upright(plain.disparity, geometry.warp(side, plain.disparity))
    )
    assert (straight.disparity - plain.disparity).abs().max().item() > 0.1
    torch.testing.assert_close(straight.warped, geometry.warp(side, straight.disparity, core.kernel))


def swept_core(monkeypatch, better):
    """Return (core, its arguments, what it matched around at stride 16); the sweep finds 48 pixels where told."""
    torch.manual_seed(0)
    features, core = SideFeatures(4), GeometryCore(4, 8, sweep=True).eval()
    side = torch.rand(2, 3, 64, 128) * 2 - 1
    present = torch.tensor([1.0, 0.0])[:, None, None, None]
    more = (features(side, torch.randn(2, 4, 4, 8), present), present, transform)
    given = (torch.randn(2, 4, 4, 8), torch.tensor([0, 7]), side, *more)
    given += (torch.randn(2, 4, 4, 8).round(), torch.ones(2, 4, 1, 1))
    found = Swept(torch.full((2, 1, 4, 8), 48.0), torch.zeros(2, 3, 4, 8), torch.zeros(2, 1, 1, 1))
    monkeypatch.setattr(geometry, "sweep", lambda *_: found)
    monkeypatch.setattr(Swept, "better", lambda *_: better.expand(2, 1, 4, 8))
    around = []
    core.match16.register_forward_hook(lambda _, inputs, __: around.append(inputs[2].clone()))
    return core, given, around


def test_where_the_sweep_is_better_stride_16_is_matched_once_more_around_it(monkeypatch):
    better = torch.zeros(1, 1, 4, 8, dtype=torch.bool)
    better[..., 1:3, 2:6] = True
    core, given, around = swept_core(monkeypatch, better)
    with torch.no_grad():
        out = core(*given)
    first, second = around
    assert (second[0][better[0]] == 3).all() and not (first[0] == 3).any()  # 48 pixels are three cells
    assert torch.equal(second[0][~better[0]], first[0][~better[0]])
    assert torch.equal(second[1], first[1])  # no side view there: nothing to be found in it
    assert torch.equal(out.levels[0], second * 16)


def test_where_it_is_nowhere_better_nothing_changes(monkeypatch):
    core, given, around = swept_core(monkeypatch, torch.zeros(1, 1, 4, 8, dtype=torch.bool))
    with torch.no_grad():
        out = core(*given)
        assert len(around) == 1
        core.sweep = False
        plain = core(*given)
    torch.testing.assert_close(out.disparity, plain.disparity, rtol=0, atol=0)
