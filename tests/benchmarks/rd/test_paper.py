"""The published points: whole, labelled, and only where they may stand."""

from benchmarks.rd.metrics import METRICS
from benchmarks.rd.paper import label, paper_points, published


def test_published_points_belong_to_the_small_protocol_only():
    assert paper_points("full") == {}
    small = paper_points("128x256")
    assert {"lpips_vgg", "dists", "psnr", "ms_ssim_db"} == set(small) < set(METRICS)
    assert small["lpips_vgg"][1] == (0.0231, 0.239)
    assert small["psnr"][-1] == (0.0821, 22.72)
    assert all(len(points) == len(published()["bpp"]) for points in small.values())


def test_rates_rise_and_every_label_says_where_the_points_are_from():
    rates = published()["bpp"]
    assert rates == sorted(rates) and rates[0] > 0
    assert "read off a plot" in label() and "other test images" in label()
