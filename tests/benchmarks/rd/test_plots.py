"""A plot per metric, with the paper's points where they may stand."""

import cv2
import pytest

from benchmarks.rd.metrics import METRICS
from benchmarks.rd.plots import PAPER_POINTS, draw, paper_points
from benchmarks.rd.results import Results


def test_published_points_belong_to_the_small_protocol_only():
    assert paper_points("full") == {}
    small = paper_points("128x256")
    assert set(small) == set(PAPER_POINTS) < set(METRICS)
    assert small["lpips_vgg"][1] == (0.0231, 0.239)
    assert small["psnr"][-1] == (0.0821, 22.72)


@pytest.mark.parametrize("protocol", ["128x256", "full"])
def test_a_picture_is_written_per_metric(tmp_path, protocol):
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    r = Results(("psnr", "dists"))
    for setting in range(3):
        row = {"image": "a", "bytes": 100, "bpp": 0.02 * 2**setting, "psnr": 20.0 + setting, "dists": 0.2}
        r.add("mdic", "Ours", "ours", setting, row)
        r.add("someone", "Unknown codec", "codec", setting, row)
    r.add("side-copied", "side copied", "control", None, {"image": "a", "bytes": 0, "bpp": 0.0, "psnr": 15.0})
    paths = draw(r, protocol, 1, tmp_path / "plots")
    assert [p.name for p in paths] == ["psnr.png", "dists.png"]
    for path in paths:
        picture = cv2.imread(str(path))
        assert min(picture.shape[:2]) > 400
        assert picture.std() > 5
