"""The sheet of masks: red where nothing came from the side view."""

import cv2
import numpy as np
import pytest

from benchmarks.robust import masks
from benchmarks.robust.scenes import choose, open_folder
from benchmarks.robust.sweeps import World


def test_red_lies_over_what_was_painted_only():
    image = np.full((4, 8, 3), 100, np.uint8)
    mask = np.zeros((4, 8), np.float32)
    mask[:, 4:] = 1
    over = masks.overlay(image, mask)
    np.testing.assert_array_equal(over[:, 4:], image[:, 4:])
    assert over[0, 0, 0] > 150 and over[0, 0, 2] < 80


def test_a_sheet_shows_every_kind_of_side_view(data, probe, tmp_path):
    pytest.importorskip("av", reason="PyAV (extra bench) is not installed")
    scenes = open_folder(data, None)
    world = World(choose(scenes, 1, None), scenes)
    at = next(p for p in world.places if p.name == "seq_a/000006")
    tiles = masks.tiles(world, at, probe, 2)
    assert len(tiles) == 8 and all(tile.image is not None for tile in tiles)
    assert "2 frames old: " in tiles[5].caption and "% from the side view" in tiles[5].caption
    alone = masks.tiles(world, world.places[0], probe, 2)
    assert alone[5].image is None
    picture = cv2.imread(str(masks.draw(world, [at], probe, 2, tmp_path / "m" / "masks.png")))
    assert picture.shape[1] > 1900 and picture.std() > 10
