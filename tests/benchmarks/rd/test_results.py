"""Rows become means, curves, tables and a JSON file."""

import json

import pytest

from benchmarks.rd.results import Results, write_json


@pytest.fixture
def results():
    r = Results(("psnr", "dists"))
    for setting, size, quality in ((0, 100, 20.0), (1, 400, 24.0)):
        for picture, extra in (("a", 0.0), ("b", 2.0)):
            bpp = size * 8 / 8000
            row = {"image": picture, "bytes": size, "bpp": bpp, "psnr": quality + extra, "dists": 4 / quality}
            r.add("mdic", "Ours", "ours", setting, row | {"psnr": row["psnr"] + 1})
            r.add("av1", "AV1 intra", "codec", setting, row)
    r.add("oracle-warp", "oracle", "control", None, {"image": "a", "bytes": None, "bpp": None, "psnr": 26.0})
    return r


def test_means_and_curves(results):
    assert results.curve("av1", "psnr") == [(0.1, 21.0), (0.4, 25.0)]
    assert results.curve("mdic", "psnr") == [(0.1, 22.0), (0.4, 26.0)]
    assert results.curve("oracle-warp", "psnr") == []
    assert results.methods("ours", "codec") == {"mdic": "Ours", "av1": "AV1 intra"}


def test_differences_pair_ours_with_every_codec(results):
    rows = {row["metric"]: row for row in results.differences()}
    assert set(rows) == {"psnr", "dists"}
    assert rows["psnr"]["bd_quality"]["value"] == pytest.approx(1.0)
    assert rows["dists"]["bd_rate_percent"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_a_number_that_one_picture_lacks_has_no_mean():
    r = Results(("psnr",))
    r.add("x", "X", "codec", 1, {"image": "a", "bytes": 3, "bpp": 0.1, "psnr": 20.0, "ms": 3.0})
    r.add("x", "X", "codec", 1, {"image": "b", "bytes": 5, "bpp": 0.3, "psnr": 22.0, "ms": None})
    assert r.points[("x", 1)].mean() == {"bytes": 4, "bpp": pytest.approx(0.2), "psnr": 21.0, "ms": None}


def test_tables_show_every_point_and_say_geometry_only(results):
    table = results.table()
    assert table.count("\n") == 1 + 5
    assert "| Ours | 1 | 400.0 | 0.4000 |  |  | 26.00 |" in table
    assert "PSNR dB ↑" in table and "DISTS ↓" in table
    assert "| oracle |  | geometry only |  |  |  | 26.00 |" in table
    assert "+1.00" in results.difference_table()


def test_missing_overlap_is_written_out():
    r = Results(("psnr",))
    for setting, bpp in ((0, 0.01), (1, 0.02)):
        row = {"image": "a", "bytes": 1, "psnr": 20.0 + setting}
        r.add("mdic", "Ours", "ours", setting, row | {"bpp": bpp})
        r.add("jpeg", "JPEG", "codec", setting, row | {"bpp": bpp * 20})
    assert "no common rates: 0.01..0.02 and 0.2..0.4 bpp" in r.difference_table()


def test_document_is_json_and_is_replaced_whole(results, tmp_path):
    results.note("half of the pairs")
    results.note("half of the pairs")
    path = tmp_path / "deep" / "rd.json"
    write_json(path, results.document({"protocol": "full"}, complete=False))
    assert json.loads(path.read_text())["complete"] is False
    write_json(path, results.document({"protocol": "full"}, complete=True))
    document = json.loads(path.read_text())
    assert document["complete"] is True and document["protocol"] == "full"
    assert document["notes"] == ["half of the pairs"]
    assert len(document["points"]) == 5
    first = document["points"][0]
    assert first["mean"]["psnr"] == 22.0
    assert [row["image"] for row in first["images"]] == ["a", "b"]
    assert document["bd"][0]["against"] == "av1"
    assert [p.name for p in path.parent.iterdir()] == ["rd.json"]


def test_a_file_read_again_says_the_same(results, tmp_path):
    document = results.document({"protocol": "full"}, complete=True)
    again = Results.load(json.loads(json.dumps(document)))
    assert again.table() == results.table()
    assert again.document({"protocol": "full"}, complete=True) == document


def test_the_paper_is_compared_with_at_its_own_protocol_only(results):
    assert {row["against"] for row in results.differences("full")} == {"av1"}
    rows = [row for row in results.differences("128x256") if row["against"] == "paper"]
    assert [row["metric"] for row in rows] == ["psnr", "dists"]
    assert all("read off a plot" in row["label"] for row in rows)


def test_the_difference_that_counts_falls_back_to_quality_at_equal_rate():
    r = Results(("lpips_vgg",))
    for setting, (bpp, ours, other) in enumerate([(0.01, 0.1, 0.5), (0.02, 0.09, 0.4), (0.04, 0.08, 0.3)]):
        row = {"image": "a", "bytes": 1, "bpp": bpp}
        r.add("mdic", "Ours", "ours", setting, row | {"lpips_vgg": ours})
        r.add("av1", "AV1", "codec", setting, row | {"lpips_vgg": other})
    (difference,) = r.differences()
    assert difference["counts"] == "bd_quality"
    assert "no common quality" in difference["bd_rate_percent"]["why"]
    assert difference["bd_quality"]["value"] > 0.2


def test_nan_is_refused_rather_than_written(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"psnr": float("nan")})
    assert not (tmp_path / "x.json").exists()
