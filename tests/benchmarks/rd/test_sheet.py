"""The sheet of examples."""

import cv2
import numpy as np

from benchmarks.rd.sheet import COLUMNS, TILE_WIDTH, Candidate, Tile, grey, nearest_in_bytes, write


def test_nearest_in_bytes_goes_by_ratio():
    picture = np.zeros((2, 2, 3), np.uint8)
    candidates = [Candidate(1, 100, picture), Candidate(2, 400, picture)]
    assert nearest_in_bytes(candidates, 190).setting == 1
    assert nearest_in_bytes(candidates, 210).setting == 2
    assert nearest_in_bytes([], 100) is None


def test_mask_becomes_a_grey_picture():
    picture = grey(np.array([[0.0, 0.5, 1.0, 1.7]], np.float32))
    assert picture[0, :, 0].tolist() == [0, 128, 255, 255]
    assert picture.shape == (1, 4, 3)


def test_tiles_are_laid_out_in_rows_and_missing_ones_shown(tmp_path):
    red = np.zeros((100, 200, 3), np.uint8)
    red[..., 0] = 250
    tiles = [Tile(f"tile {i}", red) for i in range(5)] + [Tile("missing", None)]
    path = write(tmp_path / "sub" / "sheet.png", {"first": tiles, "second": tiles[:2]})
    sheet = cv2.imread(str(path))[:, :, ::-1]
    assert sheet.shape[1] > COLUMNS * TILE_WIDTH
    reds = (sheet == (250, 0, 0)).all(-1).sum()
    assert abs(reds - 7 * TILE_WIDTH * (TILE_WIDTH // 2)) < 0.01 * reds
    assert (sheet == 225).all(-1).sum() > 0.9 * TILE_WIDTH * (TILE_WIDTH // 2)
