"""benchmarks.canvas: the same numbers give the same file; without matplotlib one error says what to install."""

import sys

import cv2
import pytest

from benchmarks import canvas
from common.errors import MissingDependency


def test_the_same_figure_is_the_same_file(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    for name in ("a", "b"):
        figure = canvas.blank(4, 2)
        figure.add_subplot().plot([1, 2], [3, 4])
        assert canvas.save(figure, tmp_path / name / "x.png") == tmp_path / name / "x.png"
    first, second = ((tmp_path / name / "x.png").read_bytes() for name in ("a", "b"))
    assert first == second and cv2.imread(str(tmp_path / "a" / "x.png")).shape == (220, 440, 3)


def test_without_matplotlib_one_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match="matplotlib"):
        canvas.blank(4, 2)
