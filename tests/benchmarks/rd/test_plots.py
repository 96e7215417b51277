"""Plots per metric and the four together, with the paper's points where they may stand."""

import cv2
import pytest

from benchmarks.rd import paper, plots
from benchmarks.rd.results import Results


def some_results():
    r = Results(("psnr", "dists", "lpips_vgg"))
    for setting in range(3):
        row = {"image": "a", "bytes": 100, "bpp": 0.02 * 2**setting, "psnr": 20.0 + setting, "dists": 0.2}
        r.add("mdic", "Ours", "ours", setting, row)
        r.add("someone", "Unknown codec", "codec", setting, row)
    r.add("side-copied", "side copied", "control", None, {"image": "a", "bytes": 0, "bpp": 0.0, "psnr": 15.0})
    return r


@pytest.mark.parametrize("protocol", ["128x256", "full"])
def test_a_picture_is_written_per_metric(tmp_path, protocol):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    paths = plots.draw(some_results(), protocol, 1, tmp_path / "plots")
    assert [p.name for p in paths] == ["psnr.png", "dists.png", "lpips_vgg.png"]
    for path in paths:
        picture = cv2.imread(str(path))
        assert min(picture.shape[:2]) > 400
        assert picture.std() > 5


def lines_of(figure):
    return {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}


@pytest.mark.parametrize(("protocol", "shown"), [("128x256", True), ("full", False)])
def test_the_paper_is_dashed_and_only_where_it_may_stand(tmp_path, monkeypatch, protocol, shown):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    figures = []
    monkeypatch.setattr(plots.canvas, "save", lambda figure, path: figures.append(figure) or path)
    plots.draw_one(some_results(), protocol, 1, "psnr", tmp_path / "x.png")
    lines = lines_of(figures[0])
    assert (paper.label() in lines) is shown
    if shown:
        assert lines[paper.label()].get_linestyle() == "--"
        assert list(lines[paper.label()].get_ydata()) == paper.published()["psnr"]
    assert list(lines["side copied"].get_ydata()) == [15.0, 15.0]


def test_the_panel_is_one_picture_and_does_not_change_by_itself(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    first = plots.draw_panel(some_results(), "128x256", 1, tmp_path / "a.png")
    second = plots.draw_panel(some_results(), "128x256", 1, tmp_path / "b.png")
    assert cv2.imread(str(first)).shape[1] > 1200
    assert first.read_bytes() == second.read_bytes()
