from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from common.datasets import open_dataset, open_datasets
from common.errors import DatasetError, ImageUnreadable, PairMissing

Make = Callable[..., Path]
STEMS = ["000000", "000001", "000002"]


def values(dataset) -> list[tuple[int, int, int]]:
    return [(f.seq, int(f.main[0, 0, 0]), int(f.side[0, 0, 0])) for f in dataset]


THREE = [(0, 10, 100), (1, 11, 101), (2, 12, 102)]


@pytest.mark.parametrize(
    ("main", "side", "stems", "suffix"),
    [
        ("left", "right", STEMS, ".png"),
        ("image_02/data", "image_03/data", ["0000000000", "0000000001", "0000000002"], ".png"),
        ("image_02", "image_03", STEMS, ".png"),
        ("image_00/data", "image_01/data", STEMS, ".png"),
        ("image_2", "image_3", STEMS, ".png"),
        ("image_2", "image_3", ["000000_10", "000001_10", "000002_10"], ".png"),
        ("colored_0", "colored_1", ["000000_10", "000000_11", "000001_10"], ".png"),
        ("image_0", "image_1", STEMS, ".png"),
    ],
)
def test_every_layout_opens(make_pairs: Make, main: str, side: str, stems: list[str], suffix: str) -> None:
    dataset = open_dataset(make_pairs(main, side, stems, suffix))
    assert values(dataset) == THREE
    assert dataset[0].capture_ns == 0 and dataset[1].capture_ns == 100_000_000
    assert dataset.fps == 10 and dataset.calibration is None


def test_webp_folders_open_and_lossless_webp_is_exact(make_pairs: Make) -> None:
    assert len(open_dataset(make_pairs("left", "right", STEMS, ".webp"))) == 3


def test_grey_images_become_rgb(make_pairs: Make) -> None:
    frame = open_dataset(make_pairs("image_0", "image_1", STEMS, channels=1))[0]
    assert frame.main.shape == (8, 12, 3) and (frame.main == 10).all()


def test_colour_cameras_come_before_grey_ones(make_pairs: Make) -> None:
    make_pairs("image_00/data", "image_01/data", ["0000000007"])
    root = make_pairs("image_02/data", "image_03/data", STEMS)
    assert len(open_dataset(root)) == 3


def test_kitti_raw_date_folder(make_pairs: Make, calibration_text: str) -> None:
    root = make_pairs("2011_09_26/2011_09_26_drive_0001_sync/image_02/data",
                      "2011_09_26/2011_09_26_drive_0001_sync/image_03/data", STEMS)  # fmt: skip
    make_pairs("2011_09_26/2011_09_26_drive_0002_sync/image_02/data",
               "2011_09_26/2011_09_26_drive_0002_sync/image_03/data", STEMS)  # fmt: skip
    (root / "2011_09_26/calib_cam_to_cam.txt").write_text(calibration_text)
    drives = open_datasets(root)
    assert [d.name for d in drives] == [f"2011_09_26/2011_09_26_drive_000{n}_sync" for n in (1, 2)]
    for drive in drives:
        assert drive.calibration is not None and drive.calibration.baseline_m == pytest.approx(0.5375)
    alone = open_dataset(root / "2011_09_26" / "2011_09_26_drive_0002_sync")
    assert alone.calibration is not None


def test_timestamps_belong_to_frame_numbers_when_frames_were_dropped(make_pairs: Make) -> None:
    root = make_pairs("image_02/data", "image_03/data", ["0000000000", "0000000002", "0000000003"])
    lines = [f"2011-09-26 13:02:2{n}.500000001" for n in range(5)]
    (root / "image_02/timestamps.txt").write_text("\n".join(lines) + "\n")
    times = [frame.capture_ns for frame in open_dataset(root)]
    assert [time - times[0] for time in times] == [0, 2_000_000_000, 3_000_000_000]
    assert times[0] % 1_000_000_000 == 500_000_001
    assert [frame.seq for frame in open_dataset(root)] == [0, 1, 2]


def test_odometry_times_and_calibration(make_pairs: Make) -> None:
    root = make_pairs("image_2", "image_3", STEMS)
    (root / "times.txt").write_text("0.000000e+00\n\n2.073e-01\n")
    (root / "calib.txt").write_text(
        "P2: 700 0 600 40 0 700 180 0 0 0 1 0\nP3: 700 0 600 -338 0 700 180 0 0 0 1 0\n"
    )
    dataset = open_dataset(root)
    assert [frame.capture_ns for frame in dataset] == [0, 103_650_000, 207_300_000]
    assert dataset.calibration is not None and dataset.calibration.baseline_m == pytest.approx(0.54)


def test_stereo_2015_scene_calibration(make_pairs: Make, calibration_text: str) -> None:
    root = make_pairs("training/image_2", "training/image_3", ["000000_10", "000000_11"])
    (root / "training/calib_cam_to_cam").mkdir()
    (root / "training/calib_cam_to_cam/000000.txt").write_text(calibration_text)
    dataset = open_dataset(root)
    assert dataset.name == "training" and dataset.calibration is not None


def test_a_folder_of_folders_is_read_as_one(make_pairs: Make) -> None:
    make_pairs("b/left", "b/right", STEMS)
    root = make_pairs("a/left", "a/right", STEMS[:2])
    (root / "notes.txt").write_text("not an image")
    whole = open_dataset(root)
    assert [frame.seq for frame in whole] == [0, 1, 2, 3, 4]
    assert [frame.capture_ns for frame in whole] == [n * 100_000_000 for n in range(5)]
    assert [d.name for d in open_datasets(root)] == ["a", "b"]


def test_left_without_right_names_the_file(make_pairs: Make) -> None:
    root = make_pairs("left", "right", STEMS)
    (root / "right/000001.png").unlink()
    with pytest.raises(PairMissing, match=r"left/000001\.png: left without right"):
        open_dataset(root)


def test_right_without_left_names_the_file(make_pairs: Make) -> None:
    root = make_pairs("left", "right", STEMS)
    (root / "left/000002.png").unlink()
    with pytest.raises(PairMissing, match=r"right/000002\.png: right without left"):
        open_dataset(root)


def test_a_lone_view_is_an_incomplete_pair(make_pairs: Make) -> None:
    root = make_pairs("left", "elsewhere", STEMS)
    with pytest.raises(PairMissing, match="left"):
        open_dataset(root)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(DatasetError, match="is empty"):
        open_dataset(tmp_path)
    (tmp_path / "file.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"looked for \{left,right\}.*image_02.*colored_0"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="is a file"):
        open_dataset(tmp_path / "file.txt")
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    with pytest.raises(DatasetError, match="hold no images"):
        open_dataset(tmp_path)


def test_images_are_read_only_when_asked_for(make_pairs: Make) -> None:
    root = make_pairs("left", "right", STEMS)
    (root / "left/000001.png").write_bytes(b"this is no picture")
    dataset = open_dataset(root)
    assert dataset[0].seq == 0 and dataset[2].seq == 2
    with pytest.raises(ImageUnreadable, match=r"000001\.png"):
        dataset[1]


@pytest.mark.data
def test_the_real_test_split(mdic_data: Path) -> None:
    drive = open_dataset(mdic_data / "test" / "seq_drive0009")
    assert len(drive) == 40 and drive.fps == pytest.approx(9.66, abs=0.05)
    assert drive.calibration is not None and drive.calibration.baseline_m == pytest.approx(0.5327, abs=1e-3)
    frame = drive[0]
    assert frame.main is not None and frame.main.shape == (375, 1242, 3)
    assert len(open_datasets(mdic_data / "train")) > 5
