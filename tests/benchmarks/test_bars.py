"""The targets: judged from results alone, missing ones left open, near misses failed."""

import json

import pytest

from benchmarks.bars import FAIL, OPEN, PASS, bars, main
from benchmarks.parts import PARTS
from benchmarks.rd.results import Results, write_json
from benchmarks.shelf import Shelf

GOOD = {"lpips_vgg": 0.11, "dists": 0.07, "psnr": 23.5, "ms_ssim_db": 13.0}


def rd(folder, name, protocol, curve, av1=(), pairs=(2, 2), jpeg=False):
    """Write a result of `rd`: curve is (bpp, metrics) per quality."""
    r = Results(("lpips_vgg", "dists", "psnr", "ms_ssim_db"))
    for q, (bpp, values) in enumerate(curve):
        pixels = 128 * 256
        size = bpp * pixels / 8
        row = {
            "image": "a",
            "bytes": size,
            "bpp": bpp,
            "payload_bytes": size - 3,
            "information_bits": 8 * size - 26,
        }
        r.add("mdic", "Ours", "ours", q, row | values)
    for q, (bpp, values) in enumerate(av1):
        r.add("av1", "AV1 intra", "codec", q, {"image": "a", "bytes": 1, "bpp": bpp} | values)
    about = {
        "command": "python -m benchmarks rd --data x",
        "protocol": protocol,
        "pairs": pairs[0],
        "pairs_available": pairs[1],
        "side": "webp",
    }
    write_json(folder / name, r.document(about, complete=True))


def at(lpips, **other):
    return GOOD | {"lpips_vgg": lpips} | other


def found(folder, *words):
    rows = [bar for bar in bars(Shelf(folder)) if all(word in f"{bar.area}: {bar.target}" for word in words)]
    assert len(rows) == 1, rows
    return rows[0]


def test_nothing_measured_is_open_and_not_passed(tmp_path, capsys):
    every = list(bars(Shelf(tmp_path)))
    assert len(every) > 12 and {bar.status for bar in every} == {OPEN}
    assert main(["--results", str(tmp_path)]) == 0
    assert main(["--results", str(tmp_path), "--strict"]) == 1
    assert "0 pass, 0 fail" in capsys.readouterr().out


def test_all_limits_must_hold_at_one_quality(tmp_path):
    curve = [(0.02, at(0.13)), (0.04, at(0.11, psnr=22.9)), (0.06, at(0.09))]
    rd(tmp_path, "rd-128x256.json", "128x256", curve)
    bar = found(tmp_path, "0.05 bpp")
    assert bar.status == FAIL and "quality 1, 0.0400 bpp" in bar.measured and "PSNR dB 22.90" in bar.measured
    curve[1] = (0.04, at(0.12, psnr=23.0))  # exactly on the limits
    rd(tmp_path, "rd-128x256.json", "128x256", curve)
    assert found(tmp_path, "0.05 bpp").status == PASS
    assert found(tmp_path, "0.025 bpp").status == PASS
    low = found(tmp_path, "0.006 bpp")
    assert low.status == FAIL and "lowest rate is 0.0200 bpp" in low.measured


def test_the_paper_where_curves_share_quality_and_where_they_do_not(tmp_path):
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.002, at(0.26)), (0.004, at(0.21)), (0.008, at(0.15))])
    shared = found(tmp_path, "published points")
    assert shared.status == PASS and "%" in shared.measured
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.003, at(0.26)), (0.03, at(0.22)), (0.08, at(0.19))])
    assert found(tmp_path, "published points").status == FAIL
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.01, at(0.15)), (0.03, at(0.14))])
    apart = found(tmp_path, "published points")
    assert (
        apart.status == PASS
        and "no common quality" in apart.measured
        and "at equal rate +0" in apart.measured
    )


def test_what_a_result_derives_from_its_points_is_derived_again(tmp_path):
    """An older file lacks it, and a wrong one must not be believed."""
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.003, at(0.26)), (0.03, at(0.22)), (0.08, at(0.19))])
    path = tmp_path / "rd-128x256.json"
    document = json.loads(path.read_text())
    del document["monotone"], document["entropy"]
    document["bd"] = []
    path.write_text(json.dumps(document))
    assert found(tmp_path, "published points").status == FAIL
    assert found(tmp_path, "quality index, 128x256", "rises").status == PASS
    assert found(tmp_path, "header").status == PASS


def test_full_size_against_av1_and_a_sample_says_so(tmp_path):
    ours = [(0.02, at(0.25, ms_ssim_db=10.0)), (0.04, at(0.2, ms_ssim_db=12.0))]
    av1 = [(0.04, at(0.5, ms_ssim_db=9.0)), (0.2, at(0.4, ms_ssim_db=13.0))]
    rd(tmp_path, "rd-full.json", "full", ours, av1, pairs=(6, 54))
    bar = found(tmp_path, "AV1 intra")
    assert bar.status == PASS and "(6 of 54 pairs)" in bar.measured
    rd(tmp_path, "rd-full.json", "full", av1, ours)
    assert found(tmp_path, "AV1 intra").status == FAIL


def test_a_quality_that_costs_more_and_is_no_better_fails(tmp_path):
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.01, at(0.2)), (0.02, at(0.1)), (0.03, at(0.1001))])
    bar = found(tmp_path, "quality index, 128x256", "rises")
    assert bar.status == FAIL and "lpips_vgg from 1 to 2" in bar.measured
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.003, at(0.2)), (0.02, at(0.1)), (0.15, at(0.09))])
    assert found(tmp_path, "quality index, 128x256", "rises").status == PASS
    assert found(tmp_path, "covers 0.003 to 0.15").status == PASS


def test_entropy_coding_is_judged_over_everything_and_shows_its_worst_quality(tmp_path):
    # Payload is 2 bits over its information content: 1.6 % of 121 bits, 0.2 % of 1285, 0.3 % of both.
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.0045, at(0.2)), (0.04, at(0.1))])
    bar = found(tmp_path, "of their information")
    assert bar.status == PASS and bar.measured.startswith("+0.28 %; worst at quality 0: +1.65 %")
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.003, at(0.2)), (0.004, at(0.1))])
    assert found(tmp_path, "of their information").status == FAIL
    assert found(tmp_path, "header").measured == "3 bytes"


def test_a_jpeg_side_view_is_compared_on_the_same_pictures(tmp_path):
    rd(tmp_path, "rd-128x256.json", "128x256", [(0.01, at(0.10)), (0.02, at(0.08))])
    rd(tmp_path, "rd-128x256-jpeg50.json", "128x256", [(0.01, at(0.11)), (0.02, at(0.10))], pairs=(18, 54))
    bar = found(tmp_path, "JPEG-50")
    assert bar.status == FAIL and "quality 1: +25.0 %" in bar.measured


def test_other_results_are_read(tmp_path):
    def write(name, document):
        (tmp_path / name).write_text(json.dumps(document))

    write("robust.json", {"complete": True, "bars": [
        {"statement": "stale beats none", "values": {"2": -9.0}, "passed": True, "detail": "8 pictures"},
        {"statement": "wrong is harmless", "values": {"2": 14.0}, "passed": False, "detail": "worst of 8"},
        {"statement": "untold", "values": {}, "passed": None, "detail": "not run"}]})  # fmt: skip
    assert [found(tmp_path, word).status for word in ("stale beats", "wrong is", "untold")] == [
        PASS,
        FAIL,
        OPEN,
    ]
    assert found(tmp_path, "wrong is").measured == "q2: +14.0 %; worst of 8"
    reading = [{"kbps": 32.0, "better": "ours"}, {"kbps": 256.0, "better": "other"}]
    row = {"scope": "both", "metric": "lpips_vgg", "rival": "av1", "split": "best split", "budgets": reading}
    write("sequence.json", {"comparisons": [row | {"crossings": {"kbps": [180.4]}}]})
    bar = found(tmp_path, "low-delay AV1")
    assert bar.status == FAIL and "32: ours, 256: other; crossing at 180 kb/s" in bar.measured
    write(
        "gpu-decode.json", {"device": "NVIDIA H200", "goal": {"reached": True, "median_ms": 9.5, "steps": 1}}
    )
    assert found(tmp_path, "20 ms").status == PASS
    write("gpu-decode.json", {"device": "CPU", "goal": {"reached": None, "median_ms": 900.0, "steps": 1}})
    assert found(tmp_path, "20 ms").status == OPEN
    write("bench.json", {"minutes": 61.0, "parts": {"a": {"cores": 2}}})
    assert found(tmp_path, "60 minutes").status == FAIL
    write("bench.json", {"minutes": 19.0, "parts": {"rd-full": {"cores": 2}}})
    assert found(tmp_path, "60 minutes").status == OPEN, "one part within the hour says nothing of the rest"
    write("bench.json", {"minutes": 59.0, "parts": {part.name: {"cores": 2} for part in PARTS}})
    assert found(tmp_path, "60 minutes").status == PASS
    everything = {part.name: {"cores": 2} for part in PARTS}
    write("bench.json", {"minutes": 59.0, "whole_minutes": 63.0, "parts": everything})
    assert found(tmp_path, "60 minutes").status == FAIL, "by the clock it was more"


@pytest.mark.parametrize("text", ["not json", "[]", '{"complete": false, "goal": {"reached": true}}'])
def test_damaged_and_unfinished_results_count_as_missing(tmp_path, text):
    (tmp_path / "gpu-decode.json").write_text(text)
    assert found(tmp_path, "20 ms").status == OPEN


def test_the_file_holds_what_is_printed(tmp_path, capsys):
    assert main(["--results", str(tmp_path), "--json", str(tmp_path / "out" / "bars.json")]) == 0
    document = json.loads((tmp_path / "out" / "bars.json").read_text())
    printed = capsys.readouterr().out
    assert all(bar["target"] in printed for bar in document["bars"])
    assert document["open"] == len(document["bars"])


def test_an_ablation_must_cost_bits(tmp_path):
    def variant(name, rate):
        value = {"bd_rate_percent": {"value": rate}, "bd_quality": {"value": -0.01}}
        return {"name": name, "against_reference": None if rate is None else {"lpips_vgg": value}}

    found_ = [variant("full", None), variant("no-text", 4.2), variant("no-text-supervision", -0.3)]
    write_json(tmp_path / "ablation-method.json", {"pairs": 27, "variants": found_})
    assert found(tmp_path, "ablation", "z_text").status == PASS
    assert "+4.2 %" in found(tmp_path, "ablation", "z_text").measured
    assert found(tmp_path, "ablation", "text supervision").status == FAIL
    write_json(tmp_path / "ablation-method.json", {"pairs": 27, "variants": found_[:1]})
    assert found(tmp_path, "ablation", "text supervision").status == OPEN
