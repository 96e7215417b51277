"""benchmarks.grain: a pattern laid over a picture is found, what a picture shows is not."""

import json

import cv2
import numpy as np
import pytest

from benchmarks import grain
from common.errors import UsageError
from common.synthetic import StereoStreet


def test_a_pattern_is_found_at_its_period_and_height() -> None:
    rng = np.random.default_rng(4)
    picture = rng.normal(128, 8, (96, 320, 3)).clip(0, 255).astype(np.uint8)
    dots = np.zeros((16, 16, 1))
    dots[3, 5] = 30
    laid = (picture + np.tile(dots, (6, 20, 1))).clip(0, 255).astype(np.uint8)
    before, after = grain.levels(picture), grain.levels(laid)
    assert before["repeats_16"] < 10 and 20 < after["repeats_16"] < 45
    assert before["repeats_8"] < after["repeats_8"] < after["repeats_16"], "a quarter of the cells have it"


def test_slopes_repeat_nothing() -> None:
    slope = np.tile(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], (128, 1, 3))
    assert grain.levels(slope)["repeats_16"] < 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grain")
    frame = StereoStreet(6, height=128, width=256).frame(0)
    for name, image in (("left", frame.main), ("right", frame.side)):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "000000.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def test_side_views_and_qualities_are_rows_and_the_original_is_first(pair, tmp_path, capsys) -> None:
    path = tmp_path / "grain.json"
    assert grain.main(["--data", str(pair), "--qualities", "1,5", "--json", str(path)]) == 0
    document = json.loads(path.read_text("utf-8"))
    found = [(row["side"], row["quality"]) for row in grain.summary(document["rows"])]
    sides = ("webp", "jpeg:50", "none")
    assert found[0] == ("original", None)
    assert set(found[1:]) == {(side, quality) for side in sides for quality in (1, 5)}
    assert all(row["repeats_16"] > 0 for row in document["rows"])
    text = capsys.readouterr().out
    assert "| the original |  |" in text and "| side view JPEG 50 | 5 |" in text
    assert grain.table(document) in text
    with pytest.raises(UsageError, match="--side"):
        grain.main(["--data", str(pair), "--sides", "gif"])
