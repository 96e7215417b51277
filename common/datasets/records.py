"""Find and read what a drive holds beside its pictures: OXTS records and calibration files.

They never hinder a drive: what is missing, unreadable or far too long for such a file is no record.
"""

from __future__ import annotations

from pathlib import Path

from common.types import RigRecord

OXTS = "oxts"
MAX_RECORD_BYTES = 64 << 10
_CALIBRATIONS = ("calib_cam_to_cam", "calib_velo_to_cam", "calib_imu_to_velo", "calib")


def find_oxts(folder: Path) -> dict[str, Path]:
    """Return the OXTS files of a drive by stem ("0000000017"): those in `oxts/data`, else in `oxts`."""
    for place in (folder / "oxts" / "data", folder / "oxts"):
        if place.is_dir():
            return {path.stem: path for path in sorted(place.glob("*.txt")) if path.stem != "timestamps"}
    return {}


def find_calibrations(folder: Path) -> tuple[Path, ...]:
    """Return a drive's calibration files: beside the images, in `calib` or, as in KITTI raw, in the folder above."""
    found = []
    for name in _CALIBRATIONS:
        places = (folder / place / f"{name}.txt" for place in ("", "calib", ".."))
        found += [path for path in places if path.is_file()][:1]
    return tuple(found)


def read_record(kind: str, path: Path) -> RigRecord | None:
    """Return a file's bytes as they are, or None where it holds no record."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1)
    except OSError:
        return None
    return RigRecord(kind, data) if 0 < len(data) <= MAX_RECORD_BYTES else None
