"""Disparities along vertical edges."""

import pytest
import torch

from cloud.models.upright import solve_columns, upright, vertical_edges


def pole(height: int = 64, width: int = 48, at: int = 20) -> torch.Tensor:
    """Return a dark pole of four columns before a bright sky, (1, 3, height, width)."""
    view = torch.full((1, 3, height, width), 0.8)
    view[..., at : at + 4] = -0.7
    return view


def test_one_disparity_along_a_pole_and_what_was_found_elsewhere():
    found = torch.linspace(0, 8, 64)[None, None, :, None].expand(1, 1, 64, 48).contiguous()
    found = found + torch.sin(torch.arange(64) / 3)[None, None, :, None]  # it wanders, too
    straight = upright(found, pole())
    inside, outside = straight[0, 0, :, 20:24], straight[0, 0, :, 34:]
    assert (inside.max() - inside.min()).item() < 0.6 * (found.max() - found.min()).item()
    wanders = (inside[2:] - 2 * inside[1:-1] + inside[:-2]).abs().max().item()
    assert wanders < 0.05 * (found[0, 0, 2:, 0] - 2 * found[0, 0, 1:-1, 0] + found[0, 0, :-2, 0]).abs().max()
    assert (outside - found[0, 0, :, 34:]).abs().max().item() < 0.3  # the weight of any link
    # Links move nothing in the mean.
    torch.testing.assert_close(straight.mean((0, 1, 2)), found.mean((0, 1, 2)), atol=1e-3, rtol=0)


def test_a_vertical_edge_is_steep_along_the_row_only():
    edges = vertical_edges(pole())
    assert edges[0, 0, 32, 18:26].min().item() > 0.8 and edges[..., 34:].max().item() == 0
    assert vertical_edges(pole().transpose(2, 3)).max().item() == 0  # a beam
    slanted = torch.eye(64)[None, None].expand(1, 3, 64, 64).contiguous()
    assert vertical_edges(slanted)[0, 0, 8:-8, 8:-8].max().item() == 0
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.01
    assert vertical_edges(noise).max().item() < 0.05


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 37])
def test_the_columns_are_solved_exactly(rows):
    generator = torch.Generator().manual_seed(rows)
    found = torch.randn(2, 1, rows, 3, generator=generator, dtype=torch.float64) * 20
    links = torch.rand(2, 1, rows - 1, 3, generator=generator, dtype=torch.float64) ** 4 * 1000
    got = solve_columns(found, links)
    for batch in range(2):
        for column in range(3):
            system = torch.eye(rows, dtype=torch.float64)
            for y, w in enumerate(links[batch, 0, :, column]):
                pair = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
                system[y : y + 2, y : y + 2] += w * pair
            expected = torch.linalg.solve(system, found[batch, 0, :, column])
            torch.testing.assert_close(got[batch, 0, :, column], expected)


def test_single_precision_is_enough_for_a_whole_frame():
    generator = torch.Generator().manual_seed(3)
    found = torch.randn(1, 1, 384, 16, generator=generator) * 50 + 100
    links = 1000 * (torch.rand(1, 1, 383, 16, generator=generator) > 0.3).float()
    exact = solve_columns(found.double(), links.double())
    assert (solve_columns(found, links) - exact).abs().max().item() < 0.01


def test_the_disparity_learns_through_it():
    found = torch.randn(1, 1, 64, 48, requires_grad=True)
    upright(found, pole().requires_grad_(True)).sum().backward()
    torch.testing.assert_close(found.grad, torch.ones_like(found), atol=1e-3, rtol=0)
