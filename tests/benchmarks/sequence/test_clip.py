"""Drives from files and drawn ones; what is no drive is refused."""

import cv2
import numpy as np
import pytest

from benchmarks.sequence.clip import Clip, draw_clip, read_clip
from common.errors import DatasetError, UsageError


def write_drive(folder, count, shape=(64, 96)):
    rng = np.random.default_rng(count)
    for view in ("left", "right"):
        (folder / view).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(
                str(folder / view / f"{i:06d}.png"), rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
            )


def test_a_drive_is_read_up_to_the_limit(tmp_path):
    write_drive(tmp_path / "drive", 4)
    whole, part = read_clip(tmp_path / "drive", None), read_clip(tmp_path / "drive", 3)
    assert (len(whole), len(part)) == (4, 3)
    assert (part.name, part.height, part.width) == ("drive", 64, 96)
    assert part.view("side")[0] is part.side[0]
    assert np.array_equal(part.main[2], whole.main[2]) and part.digest != whole.digest


def test_several_drives_are_refused(tmp_path):
    write_drive(tmp_path / "a", 2)
    write_drive(tmp_path / "b", 2)
    with pytest.raises(UsageError, match="2 drives"):
        read_clip(tmp_path, None)


def test_too_short_or_uneven_drives_are_refused(tmp_path):
    write_drive(tmp_path / "one", 1)
    with pytest.raises(DatasetError, match="two frames"):
        read_clip(tmp_path / "one", None)
    write_drive(tmp_path / "two", 2)
    for view in ("left", "right"):
        cv2.imwrite(str(tmp_path / "two" / view / "000001.png"), np.zeros((70, 96, 3), np.uint8))
    with pytest.raises(DatasetError, match="another size"):
        read_clip(tmp_path / "two", None)


def test_the_synthetic_street_is_the_same_every_time():
    first, again = draw_clip(64, 96, 2), draw_clip(64, 96, 2)
    assert first.digest == again.digest and first.name == "synthetic:7:64x96"
    assert not np.array_equal(first.main[0], first.main[1])
    swapped = Clip(first.name, first.side, first.main)
    assert swapped.digest != first.digest
