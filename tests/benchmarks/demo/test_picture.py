"""The sheet holds every panel, untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.demo.picture import BACKGROUND, Panel, draw_sheet


def test_sheet_holds_every_panel(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)]
    rows = [[Panel(np.full((64, 96, 3), c, np.uint8), f"{c}") for c in colours[i : i + 2]] for i in (0, 2)]
    draw_sheet(tmp_path / "new" / "sheet.png", ["left", "right"], rows, "title")
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    for colour in colours:
        assert np.all(sheet == colour, axis=-1).sum() == 64 * 96
    assert tuple(sheet[0, 0]) == BACKGROUND
