"""What makes new scenes of known ones: other colours, and things pasted into both views at a known disparity.

A few hundred pairs are soon known by heart. A pasted thing stands in front of what was there, moves between the views
as its disparity says, and hides other parts of the background in each: what a matcher has to understand, in textures
that it has not seen at that place. Many of them are thin and upright, as the poles that come out bent.
"""

from __future__ import annotations

import random

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

_MARGIN = 2
_LEAST, _MOST = 0.5, 0.06
"""How far in front of its background a thing stands: pixels at least, and a share of the width at most."""
_NEARER = 4.0
_LARGEST = 0.3
"""Of the width: no disparity above, but for what stands in front of something nearer."""


def mix_colours(views: list[U8], rng: random.Random, strength: float) -> list[U8]:
    """Return views (h, w, 3) uint8 with one random mixture of channels and one gamma; grey stays grey.

    strength: how far the mixture's entries may be from the identity's.
    """
    mixture = np.eye(3) + np.array([[rng.uniform(-strength, strength) for _ in range(3)] for _ in range(3)])
    matrix = (mixture / mixture.sum(1, keepdims=True)).astype(np.float32)
    gamma = 2 ** rng.uniform(-strength, strength)
    levels = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
    return [np.asarray(cv2.LUT(cv2.transform(view, matrix), levels), np.uint8) for view in views]


def paste(main: U8, side: U8, disparity: F32, donor: U8, rng: random.Random, near: bool = False) -> None:
    """Paste one thing with the texture of `donor` into both views and the disparity, in place.

    Args:
        main: (h, w, 3) uint8.
        side: the same shape.
        disparity: (h, w) pixels, negative unknown.
        donor: (h', w', 3) uint8, where its texture comes from; at least 8 pixels to a side.
        rng: draws shape, size, place and disparity.
        near: it may stand four times as far in front of its background.
    """
    height, width = disparity.shape
    thing, alpha = _thing(donor, height, width, rng)
    rows, columns = alpha.shape
    # Some stand on the ground.
    top = height - rows if rng.random() < 0.3 else rng.randint(0, height - rows)
    left = rng.randint(0, width - columns)
    place = (slice(top, top + rows), slice(left, left + columns))
    known = disparity[place][disparity[place] >= 0]
    behind = float(np.percentile(known, 90)) if known.size else 1.0
    most = _MOST * width * (_NEARER if near else 1)
    stands = max(behind + _LEAST, min(behind + rng.uniform(_LEAST, most), _LARGEST * width))
    _blend(main, thing, alpha, top, left, 0.0)
    _blend(side, thing, alpha, top, left, stands)
    disparity[place][alpha > 0.5] = stands


def _thing(donor: U8, height: int, width: int, rng: random.Random) -> tuple[U8, F32]:
    """Return a texture (r, c, 3) and its coverage (r, c) in [0, 1], smaller than the picture."""
    kind = rng.choice(("pole", "pole", "box", "ellipse"))
    if kind == "pole":
        rows, columns = round(height * rng.uniform(0.3, 1.0)), rng.randint(2, max(3, height // 12))
    else:
        rows, columns = (round(height * rng.uniform(0.08, 0.5)) for _ in range(2))
    rows, columns = max(4, min(rows, height)), max(2, min(columns, width // 2))
    h, w = donor.shape[:2]
    r, c = min(h, max(8, rows)), min(w, max(8, columns))
    y, x = rng.randint(0, h - r), rng.randint(0, w - c)
    texture = cv2.resize(np.ascontiguousarray(donor[y : y + r, x : x + c]), (columns, rows))
    alpha = np.ones((rows, columns), np.float32)
    if kind == "ellipse":
        drawn = np.zeros((rows, columns), np.uint8)
        cv2.ellipse(drawn, ((columns / 2, rows / 2), (columns, rows), 0.0), 255, -1, cv2.LINE_AA)
        alpha = np.asarray(drawn / 255, np.float32)
    elif rng.random() < 0.4:  # leaning a little
        lean = rng.uniform(-0.15, 0.15) * rows
        turn = np.array([[1, -lean / rows, lean / 2], [0, 1, 0]], np.float32)
        alpha = np.asarray(cv2.warpAffine(alpha, turn, (columns, rows)), np.float32)
    return np.asarray(texture, np.uint8), alpha


def _blend(view: U8, thing: U8, alpha: F32, top: int, left: int, shift: float) -> None:
    """Lay a thing over a view, `shift` pixels to the left of its place; what leaves the view is cut off."""
    rows, columns = alpha.shape
    whole = int(np.floor(left - shift))
    part = left - shift - whole
    # Widened by a margin, so that a fraction of a pixel can be moved without losing an edge.
    move = np.array([[1, 0, _MARGIN + part], [0, 1, 0]], np.float32)
    size = (columns + 2 * _MARGIN, rows)
    cover = cv2.warpAffine(alpha, move, size)[..., None]
    over = cv2.warpAffine(thing, move, size, borderMode=cv2.BORDER_REPLICATE)
    start = whole - _MARGIN
    first, last = max(0, -start), min(size[0], view.shape[1] - start)
    if first >= last:
        return
    target = view[top : top + rows, start + first : start + last]
    kept, new = cover[:, first:last], over[:, first:last].astype(np.float32)
    target[:] = (target * (1 - kept) + new * kept).round().astype(np.uint8)
