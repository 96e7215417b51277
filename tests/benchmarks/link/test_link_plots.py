from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from benchmarks.link.plots import plot


def test_a_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run = {"could_kbit": [80, 0], "carried_kbit": [40, 0], "frames": [[0.0, 7, 1, 100.0], [1.0, 0, 2, None]]}
    empty = {"could_kbit": [80, 0], "carried_kbit": [], "frames": []}
    plot("some", {"auto": run, "fixed:4": empty}, 1000, tmp_path / "deep" / "some.png")
    picture = cv2.imread(str(tmp_path / "deep" / "some.png"))
    assert picture is not None
    assert picture.std() > 5
