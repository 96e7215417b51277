"""benchmarks.telemetry: sizes are those of what is sent, real drives are read, dictionaries are trained."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import telemetry
from benchmarks.telemetry import main, measure, synthetic_drive, table
from common.errors import DatasetError, UsageError
from common.telemetry import TelemetryCodec
from common.telemetry.dictionary import BATCHES, SHIPPED


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "TEST_SEEDS", range(1_000_000, 1_000_002))
    monkeypatch.setattr(telemetry, "TEST_RECORDS", 20)
    monkeypatch.setattr(telemetry, "TRAINING_SEEDS", range(6))
    monkeypatch.setattr(telemetry, "TRAINING_RECORDS", 60)


def kitti_drive(folder: Path, frames: int) -> Path:
    picture = np.full((64, 64, 3), 90, np.uint8)
    records = synthetic_drive(5, frames)
    (folder / "oxts" / "data").mkdir(parents=True)
    for view in ("image_02", "image_03"):
        (folder / view / "data").mkdir(parents=True)
        for i in range(frames):
            cv2.imwrite(str(folder / view / "data" / f"{i:010d}.png"), picture)
    for i, record in enumerate(records):
        (folder / "oxts" / "data" / f"{i:010d}.txt").write_bytes(record.data)
    (folder / "calib_cam_to_cam.txt").write_text("P_rect_02: 1.0e+02 0 0\n" * 9)
    return folder


def test_sizes_are_those_of_the_messages() -> None:
    drive = synthetic_drive(77, 20)
    found = measure([drive], SHIPPED.read_bytes())
    assert found["records"] == 20 and found["raw"] * 20 == sum(len(record.data) for record in drive)
    codec = TelemetryCodec(SHIPPED.read_bytes())
    sizes = {(row["batch"], row["dictionary"]): row["bytes"] for row in found["packed"]}
    assert set(sizes) == {(batch, d) for batch in BATCHES for d in (False, True)}
    assert sizes[1, True] * 20 == pytest.approx(sum(len(codec.pack("oxts", [r]).data) for r in drive))
    assert sizes[10, True] < sizes[5, True] < sizes[1, True] < sizes[1, False]


def test_the_command_writes_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = kitti_drive(tmp_path / "drive", 12)
    assert main(["--data", str(drive), "--json", str(tmp_path / "t.json")]) == 0
    document = json.loads((tmp_path / "t.json").read_text())
    assert document["synthetic"]["records"] == 40 and document["real"]["records"] == 12
    assert document["real_calibration"]["files"] == 1
    assert capsys.readouterr().out.strip() == table(document).strip()
    assert {"machine", "commit", "seed", "dictionary"} <= set(document)


def test_a_dictionary_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--train", str(tmp_path / "d.zdict"), "--size", "1024"]) == 0
    assert (
        f"dictionary {TelemetryCodec((tmp_path / 'd.zdict').read_bytes()).dictionary_id}"
        in capsys.readouterr().out
    )
    assert main(["--dictionary", str(tmp_path / "d.zdict")]) == 0


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    drive = kitti_drive(tmp_path / "drive", 1)
    (drive / "calib_cam_to_cam.txt").unlink()
    (drive / "oxts" / "data" / "0000000000.txt").unlink()
    with pytest.raises(DatasetError, match="no OXTS"):
        main(["--data", str(drive)])
    for wrong in (["--dictionary", str(tmp_path / "no")], ["--train", "x", "--size", "1"]):
        with pytest.raises(UsageError):
            main(wrong)
