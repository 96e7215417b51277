"""The smoke run's data go the way of real data."""

import cv2

from benchmarks.ablation import smoke
from benchmarks.rd.protocol import Samples, SideView
from cloud.training.config import TrainConfig


def test_streets_are_pairs_that_the_protocol_takes(tmp_path):
    found = list(Samples(smoke.write_streets(tmp_path, 1, 5), "128x256", SideView("webp")))
    assert [sample.main.shape for sample in found] == [(128, 256, 3)]
    assert found[0].side is not None and (found[0].main != found[0].side).any()
    assert cv2.imread(str(tmp_path / "pairs_street5" / "left" / "000000.png")).shape == (
        smoke.HEIGHT,
        smoke.WIDTH,
        3,
    )


def test_the_small_configuration_keeps_the_switches():
    small = smoke.shrink(TrainConfig())
    assert small.steps == smoke.STEPS and small.model.latent_channels == 8
    assert small.model.mask == TrainConfig().model.mask and small.lambdas == TrainConfig().lambdas
