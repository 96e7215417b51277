"""The plot and the scene: files are made and show what they say."""

import cv2
import numpy as np

from benchmarks.downstream import figure
from benchmarks.downstream.judge import Answer
from benchmarks.downstream.subjects import Candidate
from benchmarks.downstream.tally import Subject


def point(method, kind, setting, bpp, miou, d1=0.2, interval=None):
    mean = {"bpp": bpp, "bytes": 1, "seg_miou": miou, "stereo_d1": d1}
    return {
        "method": method,
        "label": method,
        "kind": kind,
        "setting": setting,
        "mean": mean,
        "interval": interval or {},
    }


def answer(labels, disparity):
    holes = np.zeros((64, 128), bool)
    holes[:, :8] = True
    return Answer(np.full((32, 64), labels, np.uint8), np.full((64, 128), disparity, np.float32), holes, None)


def test_the_plot_has_a_panel_for_each_measure(tmp_path):
    points = [
        point("mdic", "ours", 0, 0.01, 0.5, interval={"seg_miou": [0.4, 0.6]}), point("mdic", "ours", 4, 0.03, 0.6),
        point("av1", "codec", 0, 0.04, 0.4), point("best-shift", "control", None, 0.0001, 0.3),
        point("oracle-warp", "control", None, None, 0.7),
    ]  # fmt: skip
    one = cv2.imread(
        str(
            figure.draw(
                [p | {"mean": p["mean"] | {"stereo_d1": None}} for p in points], 3, tmp_path / "1.png"
            )
        )
    )
    two = cv2.imread(str(figure.draw(points, 3, tmp_path / "2.png")))
    assert two.shape[1] == 2 * one.shape[1]
    assert np.any(np.all(two == (0x1F, 0x12, 0xC1), axis=2))  # our curve, in BGR


def test_the_scene_shows_the_middle_quality_and_the_differences():
    image = np.full((64, 128, 3), 90, np.uint8)
    seen, other = answer(0, 20), answer(10, 40)
    judged = [
        (Candidate(Subject("mdic", "ours", "ours", q), image, 100 * q), other if q == 4 else seen)
        for q in (0, 4, 7)
    ]
    judged += [(Candidate(Subject("av1", "AV1", "codec", q), image, 90 * q), seen) for q in (0, 4, 7)]
    whole = {"crf": 60, "factor": 1}  # nothing was shrunk: the same picture again, not shown twice
    judged.append((Candidate(Subject("av1-shrunk", "AV1 shrunk", "codec", 4), image, 360, whole), seen))
    judged.append((Candidate(Subject("best-shift", "shift", "control"), image, 1), seen))
    tiles = figure.scene_tiles(image, seen, judged)
    assert [tile.caption for tile in tiles[::4]] == [
        "source",
        "ours, bytes: 400",
        "AV1, bytes: 360",
        "shift, bytes: 1",
    ]
    assert np.all(tiles[2].image == 235)  # the source differs nowhere from itself
    assert np.all(tiles[6].image == (70, 130, 180))  # ours calls it all sky
    disparity = tiles[3].image
    assert np.all(disparity[:, :8] == 0) and np.all(disparity[:, 8:].sum(axis=2) > 0)


def test_without_the_segmenter_the_tiles_say_so():
    image = np.full((64, 128, 3), 90, np.uint8)
    seen = Answer(None, np.zeros((64, 128), np.float32), np.zeros((64, 128), bool), None)
    assert [tile.image is None for tile in figure.scene_tiles(image, seen, [])] == [False, True, True, False]
