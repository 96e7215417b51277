"""cloud.training.losses."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from cloud.training.losses import AlexDistance, disparity_loss, looks, smoothness
from common.errors import BundleCorrupt


def test_disparity_is_judged_only_where_the_teacher_knows():
    teacher = torch.full((1, 1, 8, 8), -1.0)
    teacher[..., :4] = 10.0
    level = torch.full((1, 1, 8, 8), 10.0)
    level[..., 4:] = 99.0
    assert float(disparity_loss(level, teacher)) == 0
    assert float(disparity_loss(level + 2, teacher)) == pytest.approx((2 - 0.125) / 8)
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
    from benchmarks.rd.metrics import Judge

    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(2))
    planes = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in (a, b)]
    ours = float(AlexDistance(Path(folder))(planes[1], planes[0])[0])
    theirs = Judge(["lpips_alex"], Path(folder)).measure(a, [b])[0]["lpips_alex"]
    assert ours == pytest.approx(theirs, abs=2e-4)


class Recorder(torch.nn.Module):
    """A distance that keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def forward(self, image, target):
        self.shown.append((image, target))
        distance = (image - target).abs().mean((1, 2, 3))
        return distance, 2 * distance


def test_pictures_are_looked_at_from_random_places_and_scales():
    main, recorder, rng = torch.rand(4, 3, 64, 96), Recorder(), random.Random(0)
    places, sizes = set(), set()
    for _ in range(30):
        recorder.shown.clear()
        seen = looks(recorder, main + 0.25, main, rng)
        assert float(seen.lpips) == pytest.approx(0.25) and float(seen.texture) == pytest.approx(0.5)
        assert float(seen.fine) == pytest.approx(0.75, abs=0.02)
        (image, target), (large, _) = recorder.shown
        top, left = 64 - image.shape[2], 96 - image.shape[3]
        torch.testing.assert_close(target, main[:, :, top:, left:])
        places.add((top % 4, left % 4))
        sizes.add(large.shape[2] / image.shape[2])
        assert len(large) == 2 and 1.2 < large.shape[2] / image.shape[2] <= 2
    assert len(places) > 8 and len(sizes) > 8


def test_enlarged_pictures_can_be_left_out():
    recorder = Recorder()
    seen = looks(
        recorder, torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64), random.Random(0), with_fine=False
    )
    assert float(seen.fine) == 0 and len(recorder.shown) == 1
