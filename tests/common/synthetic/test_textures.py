from __future__ import annotations

import numpy as np
import pytest

from common.synthetic import textures
from common.synthetic.textures import Texture


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_levels_halve_each_direction_on_its_own_and_keep_the_mean() -> None:
    texture = Texture(rng().integers(0, 255, (64, 128, 3)).astype(np.uint8))
    assert texture.level(0, 0) is texture.image
    assert texture.level(2, 0).shape == (16, 128, 3)
    assert texture.level(1, 3).shape == (32, 16, 3)
    assert texture.level(2, 2).mean() == pytest.approx(texture.image.mean(), abs=1)
    assert texture.level(2, 2).std() < texture.image.std() / 2
    assert min(texture.level(30, 30).shape[:2]) >= 2
    assert texture.level(1, 3) is texture.level(1, 3)


def test_noise_tiles() -> None:
    field = textures.noise(rng(), 64, 128, 8)
    inner = np.abs(np.diff(field, axis=1)).mean()
    assert np.abs(field[:, 0] - field[:, -1]).mean() < 3 * inner
    assert abs(field.mean()) < 0.3


def test_road_has_a_white_line_and_grey_lanes() -> None:
    road = textures.road(rng(), 5.4, 2.1, dashed=False).astype(float).mean(axis=2)
    columns = road.mean(axis=0)
    assert columns[508:516].mean() > columns[300:360].mean() + 40


def test_verge_has_lawn_only_where_asked() -> None:
    lawn, paved = (textures.verge(rng(), 2.5, 14.0, flag).astype(int) for flag in (True, False))
    green = [(image[:, 300:, 1] - image[:, 300:, 2]).mean() for image in (lawn, paved)]
    assert green[0] > 25 > 12 > abs(green[1])


def test_leaves_are_round_with_gaps() -> None:
    crown = textures.leaves(rng(), 96, 96, (80.0, 120.0, 50.0), 0.5)
    alpha = crown[..., 3]
    assert alpha[0, 0] == alpha[0, -1] == 0
    assert 0.25 < (alpha > 127).mean() < 0.95
    assert (crown[alpha > 127][:, 1] > crown[alpha > 127][:, 2]).mean() > 0.9


def test_sky_is_trees_under_clouds() -> None:
    sky, trees = textures.sky(rng(), 0.5, (100.0, 140.0, 200.0), (210.0, 215.0, 220.0), (70.0, 90.0, 60.0))
    assert sky.shape == (256, 2048, 3) and trees.shape == (256, 2048)
    assert not trees[:200].any() and trees[-1].all()


def test_paint_stays_in_range() -> None:
    image = textures.paint((250.0, 5.0, 128.0), 4, 4, np.full((4, 4), 20, np.float32))
    assert image[0, 0].tolist() == [255, 25, 148]
