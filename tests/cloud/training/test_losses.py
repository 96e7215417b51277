"""cloud.training.losses."""

import os
from pathlib import Path

import pytest
import torch

from cloud.training.losses import AlexDistance, disparity_loss, smoothness
from common.errors import BundleCorrupt


def test_disparity_is_judged_only_where_the_teacher_knows():
    teacher = torch.full((1, 1, 8, 8), -1.0)
    teacher[..., :4] = 10.0
    level = torch.full((1, 1, 8, 8), 10.0)
    level[..., 4:] = 99.0
    assert float(disparity_loss(level, teacher)) == 0
    assert float(disparity_loss(level + 2, teacher)) == pytest.approx(1.5 / 8)
    assert float(disparity_loss(level, torch.full_like(teacher, -1.0))) == 0


def test_coarse_levels_meet_the_teacher_at_their_own_size():
    teacher = torch.full((1, 1, 8, 8), 4.0)
    assert float(disparity_loss(torch.full((1, 1, 2, 2), 4.0), teacher)) == 0


def test_smoothness_forgives_edges_of_the_image():
    disparity = torch.zeros(1, 1, 8, 8)
    disparity[..., 4:] = 3
    flat, edge = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    assert float(smoothness(disparity, edge)) < 0.01 * float(smoothness(disparity, flat))


def test_missing_metric_weights_are_said(tmp_path):
    with pytest.raises(BundleCorrupt, match="lpips_alex"):
        AlexDistance(tmp_path)


def test_alex_distance_is_the_lpips_package_s():
    folder = os.environ.get("MDIC_METRIC_WEIGHTS")
    if not folder:
        pytest.skip("MDIC_METRIC_WEIGHTS names no folder with metric weights")
    from benchmarks.rd.metrics import load_metrics

    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 96, 128), torch.rand(2, 3, 96, 128)
    ours = AlexDistance(Path(folder))(a, b)
    theirs = load_metrics(Path(folder)).lpips_alex(a, b)
    assert torch.allclose(ours, torch.as_tensor(theirs), atol=2e-4)
