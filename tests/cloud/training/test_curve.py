"""cloud.training.curve."""

import json

import cv2
import pytest

from cloud.training.curve import draw_curve, read_curve, smooth
from common.errors import InputError


def test_a_curve_becomes_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [{"step": 25 * i, "total": 5.0 / (i + 1), "lpips": 0.3 - 0.01 * i} for i in range(10)]
    file = tmp_path / "curve.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_curve(file) == rows
    picture = cv2.imread(str(draw_curve(rows, tmp_path / "plots" / "curve.png")))
    assert picture is not None and picture.std() > 5


def test_smoothing_keeps_a_constant_and_lags_a_step():
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0] * 3)
    assert 0 < smooth([0.0, 1.0])[1] < 1


@pytest.mark.parametrize("text", ["", "{", "[1]\n", '{"loss": 1}\n'])
def test_what_is_no_curve_is_refused(tmp_path, text):
    file = tmp_path / "curve.jsonl"
    file.write_text(text)
    with pytest.raises(InputError, match=r"curve\.jsonl"):
        read_curve(file)
