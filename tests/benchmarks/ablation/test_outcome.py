"""Means, differences, table and plot, from numbers made up here."""

import pytest

from benchmarks.ablation.outcome import (
    Outcome,
    differences,
    document,
    draw,
    point_table,
    sections,
    table,
)

METRICS = ("psnr", "lpips_vgg")


def outcome(name, cost=1.0, lift=0.0):
    rows = [
        {"image": f"p{i}", "quality": q, "bytes": 10 * 2**q, "bpp": cost * 0.01 * 2**q}
        | {"psnr": 20 + q + lift + i, "lpips_vgg": 0.3 - 0.03 * q}
        for q in range(4)
        for i in (0, 1)
    ]
    return Outcome(name, f"label {name}", {"parameters": 1_500_000, "steps": 7}, rows)


def test_points_are_means_over_the_pictures():
    points = outcome("x").points()
    assert [p["quality"] for p in points] == [0, 1, 2, 3]
    assert points[0] == {"quality": 0, "bytes": 10, "bpp": 0.01, "psnr": 20.5, "lpips_vgg": 0.3}


def test_twice_the_bits_cost_a_hundred_per_cent():
    found = differences(outcome("x", cost=2.0), outcome("full"), METRICS)
    assert found["psnr"]["bd_rate_percent"]["value"] == pytest.approx(100)
    assert found["lpips_vgg"]["bd_rate_percent"]["value"] == pytest.approx(100)
    assert found["psnr"]["bd_quality"]["value"] < 0, "worse at equal rate"


def test_curves_that_share_no_quality_say_so():
    found = differences(outcome("x", lift=50.0), outcome("full"), METRICS)
    assert found["psnr"]["bd_rate_percent"]["value"] is None
    assert "no common quality" in found["psnr"]["bd_rate_percent"]["why"]
    assert found["psnr"]["bd_quality"]["value"] == pytest.approx(50)


def test_document_table_and_plot(tmp_path):
    found = document(
        {"seed": 3}, [outcome("full"), outcome("x", 2.0), outcome("far", lift=50.0)], "full", METRICS, True
    )
    assert (found["seed"], found["reference"], found["complete"]) == (3, "full", True)
    assert found["variants"][0]["against_reference"] is None
    lines = table(found).splitlines()
    assert "| reference |" in lines[2] and "+100.0 %" in lines[3] and "1.50 M | 7 | 0.0200-0.1600" in lines[3]
    assert "no common quality; +50.00 at equal rate" in lines[4]
    assert len(point_table(found).splitlines()) == 2 + 3 * 4
    first = draw(found, "title", tmp_path / "deep" / "a.png").read_bytes()
    assert first == draw(found, "title", tmp_path / "b.png").read_bytes() and len(first) > 10_000


def test_without_the_reference_nothing_is_compared():
    found = document({}, [outcome("x")], "full", METRICS, False)
    assert found["variants"][0]["against_reference"] is None and not found["complete"]


def test_the_documents_get_both_tables():
    found = document({}, [outcome("full"), outcome("x", 2.0)], "full", METRICS, True)
    assert sections(found) == {"rates": table(found), "points": point_table(found)}


def test_what_shares_no_quality_is_named_and_not_drawn(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plain = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: (drawn.append(k["label"]), plain(*a, **k))[1])
    far = outcome("far", lift=50.0)
    for row in far.rows:
        row["lpips_vgg"] += 1
    found = document({}, [outcome("full"), outcome("x", 2.0), far], "full", METRICS, True)
    assert draw(found, "title", tmp_path / "plot.png").is_file()
    assert sorted(set(drawn)) == ["label full", "label x"]
