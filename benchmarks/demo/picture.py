"""The demo's picture: a few frames side by side, each column with its name and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from common.types import RgbImage

MARGIN_PX = 12
CAPTION_PX = 22
HEAD_PX = 40
BACKGROUND = (250, 250, 248)
INK = (30, 34, 40)
SOFT_INK = (105, 112, 122)


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of the sheet: (H, W, 3) uint8 RGB and a line of figures below it."""

    image: RgbImage
    caption: str


def draw_sheet(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Panel]], title: str) -> None:
    """Write a PNG with a head per column and a row of panels per frame; all panels have one size."""
    height, width = rows[0][0].image.shape[:2]
    columns = len(heads)
    row_px = height + CAPTION_PX + MARGIN_PX
    sheet_width = columns * width + (columns + 1) * MARGIN_PX
    sheet = Image.new("RGB", (sheet_width, 2 * HEAD_PX + len(rows) * row_px + MARGIN_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    big, bold, small = (ImageFont.load_default(size) for size in (20, 17, 13))
    draw.text((MARGIN_PX, 12), title, INK, font=big)
    for column, head in enumerate(heads):
        draw.text((_left(column, width), HEAD_PX + 14), head, INK, font=bold)
    for row, panels in enumerate(rows):
        top = 2 * HEAD_PX + row * row_px
        for column, panel in enumerate(panels):
            sheet.paste(Image.fromarray(panel.image), (_left(column, width), top))
            draw.text((_left(column, width), top + height + 4), panel.caption, SOFT_INK, font=small)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _left(column: int, width: int) -> int:
    """Return the x of a column's left edge, in pixels."""
    return MARGIN_PX + column * (width + MARGIN_PX)
