"""cloud.models.sweep: however far things are moved, the transform of the right move is the coded one."""

import pytest
import torch
import torch.nn.functional as F

from cloud.models import sweep as module
from cloud.models.analysis import Analysis
from cloud.models.sweep import STEP, Swept, sweep
from cloud.models.warping import warp

WIDTH = 320


def coded(side, true):
    """Return (transform, y_hat, gain) of a main view that is the side view moved by true disparities."""
    torch.manual_seed(1)
    analysis = Analysis(8, 2, 8).eval()
    with torch.no_grad():
        y = analysis.transform((warp(side, true) + 1) / 2)
    # An untrained transform is faint: a large gain stands in for the trained one's scale.
    gain = (4 / y.std()).reshape(1, 1, 1, 1).expand(1, 8, 1, 1)
    return analysis.transform, (y * gain).round(), gain


@pytest.fixture
def side():
    torch.manual_seed(0)
    return F.interpolate(torch.rand(1, 3, 32, WIDTH // 4), scale_factor=4.0, mode="bicubic") * 2 - 1


@pytest.mark.parametrize("moved", [0.0, 8.0, 50.0, 97.0, 144.0])
def test_a_view_moved_as_a_whole_is_found_wherever_it_is(side, moved):
    true = torch.full((1, 1, 128, WIDTH), moved)
    transform, y_hat, gain = coded(side, true)
    found = sweep(side, y_hat, gain, transform)
    assert found.disparity.shape == (1, 1, 8, WIDTH // 16)
    seen = found.disparity[..., int(moved) // 16 + 1 : -1]
    assert seen.numel() > 0 and (seen - moved).abs().median() <= STEP / 2


def near_thing(side):
    true = torch.full((1, 1, 128, WIDTH), 8.0)
    true[..., 16:, 160:288] = 96.0
    return true, F.avg_pool2d(true, 16)


def test_a_near_thing_wins_over_the_disparity_around_it_and_right_ones_stay(side):
    true, cells = near_thing(side)
    transform, y_hat, gain = coded(side, true)
    found = sweep(side, y_hat, gain, transform)
    wrong = found.better(torch.full_like(cells, 8.0))
    inside = wrong[..., 3:7, 12:16]
    assert inside.all() and (found.disparity[..., 3:7, 12:16] - 96).abs().max() <= STEP
    far = cells == 8
    far[..., :1] = False  # nothing of the first column is in the side view
    assert wrong[far].float().mean() < 0.1
    assert not found.better(torch.where(cells == 96, 96.0, 8.0))[..., 3:7, 12:16].any()


def scored(disparity, scores, left=0.1):
    """Return what a sweep with these scores (1, D, h, w) found; so much is `left`."""
    rows, columns = scores.shape[2:]
    found = torch.full((1, 1, rows, columns), disparity)
    return Swept(found, scores, torch.full((1, 1, 1, 1), left))


def test_what_is_near_by_is_left_to_matching(side):
    """Up to 12 pixels away nothing is called better, however much it is."""
    scores = torch.zeros(1, 20, 3, 3)
    scores[:, 10] = 100.0
    found = scored(40.0, scores)
    assert not found.better(torch.full((1, 1, 3, 3), 29.0)).any()
    assert found.better(torch.full((1, 1, 3, 3), 27.0)).all()
    assert found.better(torch.full((1, 1, 3, 3), 900.0)).all()
    assert found.better(torch.full((1, 1, 3, 3), -900.0)).all()


def test_cells_alone_are_not_believed():
    scores = torch.zeros(1, 20, 5, 5)
    scores[0, 10, 2, 2] = 100.0
    found = scored(40.0, scores)
    assert not found.better(torch.zeros(1, 1, 5, 5)).any()
    scores[0, 10, 2:4, 1:4] = 100.0
    assert found.better(torch.zeros(1, 1, 5, 5)).sum() == 6


@pytest.mark.parametrize(("left", "believed"), [(0.41, True), (0.43, False)])
def test_where_the_picture_as_a_whole_fits_badly_nothing_is_believed(left, believed):
    scores = torch.zeros(1, 20, 3, 3)
    scores[:, 10] = 100.0
    better = scored(40.0, scores, left).better(torch.zeros(1, 1, 3, 3))
    assert bool(better.all()) is believed and bool(better.any()) is believed


def test_how_much_is_left_tells_the_true_side_view_from_another_one(side):
    transform, y_hat, gain = coded(side, torch.full((1, 1, 128, WIDTH), 32.0))
    own = sweep(side, y_hat, gain, transform)
    torch.manual_seed(7)
    strange = F.interpolate(torch.rand(1, 3, 32, WIDTH // 4), scale_factor=4.0, mode="bicubic") * 2 - 1
    other = sweep(strange, y_hat, gain, transform)
    assert own.left.shape == (1, 1, 1, 1)
    assert own.left.item() < 0.35 < 0.45 < other.left.item()
    assert not other.better(torch.zeros(1, 1, 8, WIDTH // 16)).any()


def test_a_few_bytes_say_nothing(side):
    """Of a picture whose latents are all nought every disparity is as good as any other."""
    transform, y_hat, gain = coded(side, torch.zeros(1, 1, 128, WIDTH))
    found = sweep(side, torch.zeros_like(y_hat), gain * 0.02, transform)
    for prior in (0.0, 40.0, 120.0):
        assert not found.better(torch.full((1, 1, 8, WIDTH // 16), prior)).any()


def test_a_batch_is_its_pictures(side):
    other = side.flip(2)
    transform, y_hat, gain = coded(side, torch.full((1, 1, 128, WIDTH), 60.0))
    second = y_hat.flip(1)
    both = sweep(torch.cat([side, other]), torch.cat([y_hat, second]), gain.expand(2, -1, -1, -1), transform)
    for row, (view, y) in enumerate([(side, y_hat), (other, second)]):
        alone = sweep(view, y, gain, transform)
        torch.testing.assert_close(both.scores[row], alone.scores[0], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(both.left[row], alone.left[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (2, 5), (7, 2)])
def test_any_size_even_a_single_cell(size):
    rows, columns = size
    torch.manual_seed(2)
    view = torch.rand(1, 3, 16 * rows, 16 * columns) * 2 - 1
    transform, y_hat, gain = coded(view, torch.zeros(1, 1, 16 * rows, 16 * columns))
    found = sweep(view, y_hat, gain, transform)
    assert found.disparity.shape == (1, 1, rows, columns) and found.disparity.isfinite().all()
    assert found.scores.isfinite().all() and found.better(found.disparity).sum() == 0


def test_paths_are_the_best_ones_from_four_sides():
    """Against the recurrence written out, cell by cell."""
    torch.manual_seed(3)
    scores = torch.randn(2, 5, 3, 4)
    small, large = module._SMALL, module._LARGE

    def line(own):  # (N, D): one direction
        out = [own[0]]
        for step in own[1:]:
            last, best = out[-1], out[-1].max()
            told = []
            for d in range(len(last)):
                ways = [last[d], best - large]
                ways += [last[k] - small for k in (d - 1, d + 1) if 0 <= k < len(last)]
                told.append(step[d] + max(ways) - best)
            out.append(torch.stack(told))
        return torch.stack(out)

    wanted = torch.zeros_like(scores)
    for b in range(2):
        for y in range(3):
            row = scores[b, :, y].T
            wanted[b, :, y] += (line(row) + line(row.flip(0)).flip(0)).T
        for x in range(4):
            column = scores[b, :, :, x].T
            wanted[b, :, :, x] += (line(column) + line(column.flip(0)).flip(0)).T
    torch.testing.assert_close(module._semi_global(scores), wanted)
