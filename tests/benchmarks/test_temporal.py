"""benchmarks.temporal: the same packets twice, and what leaving the past out costs."""

import json

import cv2
import pytest

from benchmarks import tables, temporal
from common.errors import UsageError
from common.synthetic import StereoStreet

pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
QUICK = ("--metrics", "psnr,ms_ssim_db", "--qualities", "0,3")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drive")
    street = StereoStreet(6, height=370, width=740)
    for index in range(3):
        frame = street.frame(index)
        for name, image in (("left", frame.main), ("right", frame.side)):
            (folder / name).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / name / f"{index:06d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="module")
def document(drive, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert temporal.main(["--data", str(drive), *QUICK, "--out", str(out)]) == 0
    assert cv2.imread(str(out / "curves.png")).shape[1] > 1200
    return json.loads((out / "temporal.json").read_text("utf-8"))


def test_both_are_made_of_the_same_packets(document):
    points = document["points"]
    assert [(p["quality"], p["label"]) for p in points] == [(q, k) for q in (0, 3) for k in temporal.LABELS]
    for mended, alone in zip(points[::2], points[1::2], strict=True):
        assert mended["bytes"] == alone["bytes"] and mended["bpp"] == mended["bytes"] * 8 / (128 * 256)
        assert mended["psnr"] != alone["psnr"], "the past was used"
        assert mended["flicker"]["warp_error_source"] == alone["flicker"]["warp_error_source"]
        assert mended["flicker"]["pairs"] == 2


def test_the_first_frame_has_no_past_and_is_not_judged(document):
    for point in document["points"]:
        assert ["psnr" in row for row in point["frames"]] == [False, True, True]
        judged = [row["psnr"] for row in point["frames"] if "psnr" in row]
        assert point["psnr"] == pytest.approx(sum(judged) / 2)


def test_the_table_comes_from_the_file(document):
    text = temporal.table(document)
    assert "3 frames of" in text and "| 3 | every frame alone |" in text
    assert "without the frame before | PSNR dB | MS-SSIM dB" in text
    assert tables._renderer(document) is temporal.table


def test_a_drive_that_stands_still_or_cannot_be_followed_is_a_result_too(document, tmp_path):
    still = [{"warp_error": 1.0, "warp_error_source": 0.0, "change_error": 1.0, "flow_share": 1.0}]
    found = temporal.stability(still)
    assert found is not None and json.dumps(found, allow_nan=False)
    assert temporal.stability([{"frame": 0}]) is None
    lost = document | {"points": [p | {"flicker": None} for p in document["points"]]}
    assert temporal.draw(lost, tmp_path / "curves.png").is_file()
    assert temporal.table(lost).count("|  |  |  |") == 4, "no flicker in any row"


def test_what_leaving_out_costs_has_the_sign_of_a_cost():
    """Lone frames that are 1 dB worse at every rate cost bits, and quality at equal rate."""
    points = [
        {"label": label, "quality": q, "bpp": 0.01 * 2**q, "psnr": 20.0 + q - (label == temporal.ALONE)}
        for label in temporal.LABELS
        for q in range(4)
    ]
    (row,) = temporal.differences(points, ["psnr"])
    assert row["bd_rate_percent"]["value"] == pytest.approx(100)
    assert row["bd_quality"]["value"] == pytest.approx(-1)


@pytest.mark.parametrize("wrong", [("--side", "none"), ("--every", "3"), ("--every", "0"), ("--frames", "1")])
def test_what_cannot_be_measured_is_refused(drive, tmp_path, wrong):
    with pytest.raises(UsageError, match=wrong[0]):
        temporal.main(["--data", str(drive), *QUICK, "--out", str(tmp_path), *wrong])
