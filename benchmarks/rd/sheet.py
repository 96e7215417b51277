"""A sheet of example pictures: numbers alone hide what a codec does to a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import MissingDependency
from common.types import RgbImage

TILE_WIDTH = 480
COLUMNS = 4
_CAPTION_HEIGHT = 22
_GAP = 6
_BACKGROUND = (250, 250, 248)


@dataclass(frozen=True, eq=False)
class Tile:
    """Hold one picture of the sheet and the line above it; a picture of None says why it is not there."""

    caption: str
    image: RgbImage | None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Hold one coded picture that may go on the sheet."""

    setting: int
    payload_bytes: int
    image: RgbImage


def nearest_in_bytes(candidates: Sequence[Candidate], payload_bytes: int) -> Candidate | None:
    """Return the candidate whose size is nearest in ratio, None where there is none."""
    if not candidates:
        return None
    return min(candidates, key=lambda c: abs(np.log(max(1, c.payload_bytes) / max(1, payload_bytes))))


def grey(mask: np.ndarray) -> RgbImage:
    """Return an (H, W) mask in [0, 1] as an (H, W, 3) uint8 picture, white where the side view is trusted."""
    levels = np.clip(np.rint(np.asarray(mask, dtype=np.float32) * 255), 0, 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)


def write(path: Path, pictures: Mapping[str, Sequence[Tile]]) -> Path:
    """Write the sheet: for each picture a title and its tiles, four in a row, each tile 480 pixels wide.

    Raises:
        MissingDependency: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency("pillow", "bench") from error
    blocks = [_block(name, tiles) for name, tiles in pictures.items()]
    height, width = sum(b.shape[0] for b in blocks), max(b.shape[1] for b in blocks)
    canvas = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    top = 0
    for block in blocks:
        canvas[top : top + block.shape[0], : block.shape[1]] = block
        top += block.shape[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(path, optimize=True)
    return path


def _block(name: str, tiles: Sequence[Tile]) -> RgbImage:
    shape = next(tile.image.shape for tile in tiles if tile.image is not None)
    tile_height = round(shape[0] * TILE_WIDTH / shape[1])
    cell_height, cell_width = tile_height + _CAPTION_HEIGHT, TILE_WIDTH + _GAP
    rows = -(-len(tiles) // COLUMNS)
    block = np.full(
        (_CAPTION_HEIGHT + rows * cell_height + _GAP, COLUMNS * cell_width, 3), _BACKGROUND, np.uint8
    )
    _write_text(block, name, _GAP, _CAPTION_HEIGHT - 6, strong=True)
    for i, tile in enumerate(tiles):
        top, left = _CAPTION_HEIGHT + i // COLUMNS * cell_height, i % COLUMNS * cell_width + _GAP // 2
        _write_text(block, tile.caption, left, top + _CAPTION_HEIGHT - 6)
        area = block[top + _CAPTION_HEIGHT : top + cell_height, left : left + TILE_WIDTH]
        if tile.image is None:
            area[:] = 225
            _write_text(area, "not run", TILE_WIDTH // 2 - 30, tile_height // 2)
        else:
            shrink = tile.image.shape[1] > TILE_WIDTH
            how = cv2.INTER_AREA if shrink else cv2.INTER_NEAREST
            area[:] = cv2.resize(tile.image, (TILE_WIDTH, tile_height), interpolation=how)
    return block


def _write_text(image: np.ndarray, text: str, x: int, y: int, strong: bool = False) -> None:
    plain = text.encode("ascii", "replace").decode()
    canvas = np.ascontiguousarray(image)
    cv2.putText(
        canvas, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.47, (20, 20, 20), 2 if strong else 1, cv2.LINE_AA
    )
    image[:] = canvas
