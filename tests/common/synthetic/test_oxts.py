"""common.synthetic.oxts: thirty numbers that follow the car's own motion, the same in every process."""

from __future__ import annotations

import re

import numpy as np
import pytest

from common.synthetic import OxtsRecorder, StereoStreet
from common.synthetic.oxts import FIELDS, parse_record


def test_a_record_has_the_form_of_kitti_raw() -> None:
    line = OxtsRecorder(3).record(7)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    tokens = line.decode().split()
    assert len(tokens) == len(FIELDS) == 30
    assert all(re.fullmatch(r"-?[0-9.]+(e-[0-9]{2})?", token) for token in tokens)
    assert all(token.isdigit() for token in tokens[25:])
    assert 400 < len(line) < 460  # fourteen digits a number, as the unit writes them


def test_records_depend_on_seed_and_index_alone() -> None:
    first, again = OxtsRecorder(3), OxtsRecorder(3)
    assert [first.record(i) for i in (0, 5, 2)] == [again.record(i) for i in (0, 5, 2)]
    assert first.record(0) != OxtsRecorder(4).record(0)


@pytest.mark.parametrize("seed", [1, 8, 20])
def test_position_velocity_and_heading_agree(seed: int) -> None:
    recorder = OxtsRecorder(seed)
    records = [parse_record(recorder.record(i)) for i in range(60)]
    north = np.array([r["lat"] for r in records]) * 111_320
    east = np.array([r["lon"] for r in records]) * 111_320 * np.cos(np.radians(records[0]["lat"]))
    # Differences of positions over two steps are the velocity in the middle one, but for noise of 2 mm.
    for place, key in ((north, "vn"), (east, "ve")):
        assert (place[2:] - place[:-2]) / 0.2 == pytest.approx([r[key] for r in records[1:-1]], abs=0.1)
    for r in records:
        assert np.hypot(r["vf"], r["vl"]) == pytest.approx(np.hypot(r["vn"], r["ve"]), rel=1e-9)
        assert 3 < r["vf"] < 16 and abs(r["vl"]) < 0.3
        assert abs(r["au"] - 9.81) < 3 and abs(r["roll"]) < 0.2 and 4 <= r["numsats"] <= 12


def test_a_street_has_its_calibration_first() -> None:
    street = StereoStreet(3, 64, 96)
    assert [record.kind for record in street.records(0)] == ["calib_cam_to_cam", "oxts"]
    (oxts,) = street.records(4)
    assert oxts.data == OxtsRecorder(3).record(4)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError):
        parse_record(b"1 2 3\n")
