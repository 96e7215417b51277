"""Monotone curves, and bytes against information content, on numbers that can be worked out on paper."""

import pytest

from benchmarks.rd.checks import entropy_overhead, entropy_table, monotone, monotone_lines


def points(*rows):
    return [
        {"setting": i, "mean": {"bpp": bpp, "lpips_vgg": lpips, "psnr": psnr}}
        for i, (bpp, lpips, psnr) in enumerate(rows)
    ]


def test_a_curve_that_rises_holds():
    found = monotone(points((0.01, 0.3, 20), (0.02, 0.2, 21), (0.03, 0.1, 22)), ("lpips_vgg", "psnr"))
    assert {key: check["holds"] for key, check in found.items()} == {
        "rate": True,
        "lpips_vgg": True,
        "psnr": True,
    }


def test_breaks_are_named_with_their_values():
    found = monotone(points((0.01, 0.3, 20), (0.02, 0.3, 21), (0.015, 0.1, 20.5)), ("lpips_vgg", "psnr"))
    assert found["rate"]["breaks"] == [[1, 2, 0.02, 0.015]]
    assert found["lpips_vgg"]["breaks"] == [[0, 1, 0.3, 0.3]], "the same again is no gain for more bits"
    assert found["psnr"]["breaks"] == [[1, 2, 21, 20.5]]
    lines = monotone_lines(found)
    assert "NOT monotone: the rate rises with every quality index but 1 to 2 (0.02 to 0.015)" in lines


def test_one_quality_proves_nothing():
    assert monotone(points((0.01, 0.3, 20)), ("psnr",)) == {}


def test_a_metric_that_was_not_measured_is_left_out():
    assert set(monotone(points((0.01, None, 20), (0.02, None, 21)), ("lpips_vgg", "psnr"))) == {
        "rate",
        "psnr",
    }


def test_overheads_of_payload_rounding_and_packet():
    rows = [
        {
            "bytes": 13,
            "payload_bytes": 10,
            "information_bits": 75.0,
        },  # rounds up to 10 bytes: nothing else lost
        {"bytes": 14, "payload_bytes": 11, "information_bits": 80.0},  # a whole byte lost
    ]
    check = entropy_overhead(rows, 2)
    assert check["setting"] == 2 and check["header_bytes"] == 3
    assert check["payload"] == pytest.approx(168 / 155 - 1)
    assert check["rounding"] == pytest.approx(160 / 155 - 1)
    assert check["packet"] == pytest.approx(216 / 155 - 1)
    assert "| 2 | 77.5 | 84.0 | +8.39 % | +3.23 % | 108.0 | +39.35 % | 3 |" in entropy_table([check])


def test_rows_without_the_numbers_give_none():
    assert entropy_overhead([], 0) is None
    assert entropy_overhead([{"bytes": 3, "information_bits": None}], 0) is None
