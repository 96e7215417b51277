"""common.datasets.records: OXTS and calibration come with their frames, and never stop a drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.datasets import open_dataset
from common.datasets.records import MAX_RECORD_BYTES, find_calibrations, find_oxts, read_record
from common.telemetry import Record, TelemetryCodec
from common.telemetry.dictionary import SHIPPED
from common.types import RigRecord

STEMS = ["0000000000", "0000000001", "0000000002"]


def kitti_raw(make_pairs: Callable[..., Path], calibration_text: str) -> Path:
    root = make_pairs("date/drive/image_02/data", "date/drive/image_03/data", STEMS)
    oxts = root / "date" / "drive" / "oxts"
    (oxts / "data").mkdir(parents=True)
    for index, stem in enumerate(STEMS):
        (oxts / "data" / f"{stem}.txt").write_bytes(b"49.0 8.%d 4\n" % index)
    (oxts / "timestamps.txt").write_text("2011-09-26 13:08:24.9\n")
    (root / "date" / "calib_cam_to_cam.txt").write_text(calibration_text)
    (root / "date" / "calib_imu_to_velo.txt").write_text("R: 1 0 0\n")
    return root / "date" / "drive"


def test_a_kitti_raw_drive_has_both(make_pairs, calibration_text) -> None:
    drive = open_dataset(kitti_raw(make_pairs, calibration_text))
    assert [record.kind for record in drive[0].records] == ["calib_cam_to_cam", "calib_imu_to_velo", "oxts"]
    assert drive[0].records[0].data.decode() == calibration_text
    assert drive[2].records == (RigRecord("oxts", b"49.0 8.2 4\n"),)


def test_a_frame_without_a_record_goes_without(make_pairs, calibration_text) -> None:
    folder = kitti_raw(make_pairs, calibration_text)
    (folder / "oxts" / "data" / "0000000001.txt").unlink()
    (folder / "oxts" / "data" / "0000000002.txt").write_bytes(b"x" * (MAX_RECORD_BYTES + 1))
    drive = open_dataset(folder)
    assert [len(frame.records) for frame in drive] == [3, 0, 0]
    (folder / "oxts" / "data" / "0000000000.txt").unlink()  # listed, gone when it is read
    assert [record.kind for record in drive[0].records] == ["calib_cam_to_cam", "calib_imu_to_velo"]


def test_a_plain_folder_keeps_its_calibration_beside(make_pairs, calibration_text) -> None:
    root = make_pairs("left", "right", ["000000", "000001"])
    (root / "calib").mkdir()
    (root / "calib" / "calib_cam_to_cam.txt").write_text(calibration_text)
    first, second = open_dataset(root)
    assert [record.kind for record in first.records] == ["calib_cam_to_cam"] and second.records == ()
    assert replace(first, records=()).main is first.main


def test_drives_in_a_row_keep_their_records(make_pairs) -> None:
    for name in ("a", "b"):
        root = make_pairs(f"{name}/left", f"{name}/right", ["000000"])
        (root / name / "oxts").mkdir()
        (root / name / "oxts" / "000000.txt").write_text(name)
    assert [frame.records[0].data for frame in open_dataset(root)] == [b"a", b"b"]


@pytest.mark.data
def test_a_real_drive_brings_its_calibration(mdic_data: Path) -> None:
    folder = mdic_data / "test" / "seq_drive0009"
    records = open_dataset(folder)[0].records
    assert [record.kind for record in records] == [
        "calib_cam_to_cam",
        "calib_velo_to_cam",
        "calib_imu_to_velo",
    ]
    codec = TelemetryCodec(SHIPPED.read_bytes())
    for record in records:
        message = codec.pack(record.kind, [Record(0, 0, record.data)])
        assert codec.unpack(message)[0].data == (folder / "calib" / f"{record.kind}.txt").read_bytes()
        assert len(message.data) < len(record.data)


def test_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert find_oxts(tmp_path) == {} and find_calibrations(tmp_path / "x" / "y") == ()
    assert read_record("oxts", tmp_path / "no.txt") is None
    (tmp_path / "empty.txt").touch()
    assert read_record("oxts", tmp_path / "empty.txt") is None
    assert read_record("oxts", tmp_path) is None
