"""Paint the fronts, gable walls and roofs of buildings: plaster, brick, windows, doors, shops, tiles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.synthetic.textures import Colour, Image, Rng, Texture, noise, paint, scaled

PIXELS_PER_METRE = 36

_WALLS: tuple[Colour, ...] = (
    (214, 200, 170), (226, 214, 188), (196, 184, 160), (205, 190, 140), (178, 172, 164), (216, 184, 160),
    (188, 196, 190), (232, 226, 214), (170, 128, 104), (152, 96, 78), (138, 84, 66), (190, 160, 120),
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = ((138, 70, 54), (120, 62, 50), (92, 80, 76), (84, 86, 92), (150, 86, 62))
_SIGNS: tuple[Colour, ...] = ((180, 40, 36), (36, 84, 150), (40, 120, 70), (220, 180, 40), (60, 60, 66))


@dataclass(frozen=True)
class Facade:
    """Hold the look of one building: front and side textures, roof tiles and sizes in metres."""

    front: Texture
    wall: Texture
    gable: Texture
    roof: Texture | None
    width_m: float
    height_m: float


def make_facade(rng: Rng, floors: int, bays: int, pitched: bool, shops: bool) -> Facade:
    """Paint one building of `floors` storeys and `bays` window columns.

    Args:
        rng: Source of all choices.
        floors: Storeys, at least 1.
        bays: Window columns, at least 1.
        pitched: Whether a tiled roof stands on top (houses) or a cornice ends the wall (town blocks).
        shops: Whether the ground floor is shop windows.
    """
    colour = _WALLS[int(rng.integers(len(_WALLS)))]
    brick = colour[0] - colour[2] > 60
    bay_m, floor_m = float(rng.uniform(2.4, 3.4)), float(rng.uniform(2.7, 3.2))
    base_m = float(rng.uniform(0.3, 0.7))
    width_m, height_m = bays * bay_m, floors * floor_m + base_m + (0.0 if pitched else 0.6)
    front = _wall(rng, colour, width_m, height_m, brick)
    look = _WindowLook(rng)
    scale = PIXELS_PER_METRE
    for floor in range(floors):
        bottom = front.shape[0] - int((base_m + floor * floor_m) * scale)
        if floor == 0 and shops:
            _shop(front, rng, bottom, int(floor_m * scale))
            continue
        door = int(rng.integers(bays)) if floor == 0 else -1
        for bay in range(bays):
            left = int((bay + 0.5) * bay_m * scale)
            if bay == door:
                _door(front, rng, left, front.shape[0] - int(0.15 * scale))
            else:
                look.draw(front, rng, left, bottom, int(floor_m * scale))
        if floor and look.bands:
            cv2.rectangle(front, (0, bottom - 3), (front.shape[1], bottom + 3), scaled(colour, 1.12), -1)
            cv2.line(front, (0, bottom + 4), (front.shape[1], bottom + 4), scaled(colour, 0.6), 1)
    plinth = front.shape[0] - int(base_m * scale)
    if not shops:
        front[plinth:] = (front[plinth:] * 0.62).astype(np.uint8)
    if not pitched:
        cv2.rectangle(front, (0, 0), (front.shape[1], int(0.35 * scale)), scaled(colour, 0.85), -1)
        cv2.rectangle(
            front, (0, int(0.35 * scale)), (front.shape[1], int(0.5 * scale)), scaled(colour, 0.5), -1
        )
    for x in (3, front.shape[1] - 4):  # downpipes
        cv2.line(front, (x, 0), (x, front.shape[0]), scaled(colour, 0.5), 2)
    wall = _wall(rng, scaled(colour, 0.96), 8.0, height_m, brick)
    for floor in range(floors):
        if rng.random() < 0.5:
            bottom = wall.shape[0] - int((base_m + floor * floor_m) * scale)
            look.draw(wall, rng, int(rng.uniform(2, 6) * scale), bottom, int(floor_m * scale))
    gable = _wall(rng, scaled(colour, 0.96), 8.0, 2.9, brick)
    look.draw(gable, rng, gable.shape[1] // 2, gable.shape[0] + 16, int(2.4 * scale))
    roof = Texture(_tiles(rng)) if pitched else None
    return Facade(Texture(front), Texture(wall), Texture(gable), roof, width_m, height_m)


def _wall(rng: Rng, colour: Colour, width_m: float, height_m: float, brick: bool) -> Image:
    """Paint a bare wall, darker and dirtier towards the ground."""
    width, height = int(width_m * PIXELS_PER_METRE), int(height_m * PIXELS_PER_METRE)
    stain = noise(rng, height, width, 5, 4) * 7 + rng.normal(0, 4, (height, width)).astype(np.float32)
    drip = cv2.GaussianBlur(rng.normal(0, 30, (1, width)).astype(np.float32), (0, 0), 3)
    stain += drip * np.linspace(1.0, 0.3, height, dtype=np.float32)[:, None]
    foot = np.clip(np.arange(height, 0, -1) / (1.2 * PIXELS_PER_METRE), 0, 1)[:, None]
    stain -= (22 * (1 - foot)).astype(np.float32)
    if brick:
        course, stretcher = 4, 12
        rows = -(-height // course)
        shade = rng.normal(0, 13, (rows, -(-width // stretcher) + 1)).astype(np.float32)
        bricks = np.repeat(np.repeat(shade, course, axis=0), stretcher, axis=1)
        for row in range(1, rows, 2):
            bricks[row * course : (row + 1) * course] = np.roll(
                bricks[row * course : (row + 1) * course], stretcher // 2, axis=1
            )
        stain += bricks[:height, :width]
        stain[::course] += 20
    return paint(colour, height, width, stain)


class _WindowLook:
    """Hold what the windows of one building share, and draw them."""

    def __init__(self, rng: Rng) -> None:
        self.width = float(rng.uniform(0.9, 1.5))
        self.height = float(rng.uniform(1.25, 1.75))
        self.frame: Colour = (236, 234, 228) if rng.random() < 0.7 else (92, 66, 48)
        self.surround: Colour | None = (222, 214, 200) if rng.random() < 0.4 else None
        self.shutters: Colour | None = None
        if rng.random() < 0.3:
            choices: tuple[Colour, ...] = ((72, 96, 70), (96, 60, 44), (80, 96, 120))
            self.shutters = choices[int(rng.integers(3))]
        self.panes = int(rng.integers(1, 4))
        self.bands = bool(rng.random() < 0.5)
        self.balconies = bool(rng.random() < 0.25)

    def draw(self, image: Image, rng: Rng, centre: int, bottom: int, storey: int) -> None:
        """Draw one window in place: `centre` column, `bottom` row and height of its storey in pixels."""
        scale = PIXELS_PER_METRE
        half, tall = int(self.width * scale / 2), int(self.height * scale)
        y1 = bottom - int(storey * 0.28)
        y0 = max(2, y1 - tall)
        x0, x1 = centre - half, centre + half
        if self.surround is not None:
            cv2.rectangle(image, (x0 - 6, y0 - 6), (x1 + 6, y1 + 4), self.surround, -1)
        if self.shutters is not None:
            for left, right in ((x0 - half - 2, x0 - 3), (x1 + 3, x1 + half + 2)):
                cv2.rectangle(image, (left, y0), (right, y1), self.shutters, -1)
                for y in range(y0, y1, 4):
                    cv2.line(image, (left, y), (right, y), scaled(self.shutters, 0.7), 1)
        cv2.rectangle(image, (x0 - 2, y0 - 2), (x1 + 2, y1 + 2), self.frame, -1)
        glass = float(rng.uniform(28, 64))
        glow = float(rng.uniform(0.3, 1.5))
        rows = np.linspace(glow, 0.4, max(1, y1 - y0), dtype=np.float32)[:, None]
        pane = np.clip(np.array((0.86, 0.97, 1.1), np.float32) * (glass + 52 * rows)[..., None], 0, 255)
        area = image[y0:y1, max(0, x0) : x1]
        area[:] = pane[: area.shape[0]].astype(np.uint8)
        if rng.random() < 0.5:  # curtains
            cut = int(half * rng.uniform(0.3, 0.7))
            for left, right in ((x0, x0 + cut), (x1 - cut, x1)):
                cv2.rectangle(image, (left, y0), (right - 1, y1 - 1), (188, 184, 172), -1)
        elif rng.random() < 0.25:  # roller blind
            cv2.rectangle(
                image, (x0, y0), (x1 - 1, y0 + int(tall * rng.uniform(0.3, 0.8))), (200, 196, 184), -1
            )
        for pane_index in range(1, self.panes):
            x = x0 + 2 * half * pane_index // self.panes
            cv2.line(image, (x, y0), (x, y1), self.frame, 2)
        cv2.line(image, (x0, y0 + tall // 3), (x1, y0 + tall // 3), self.frame, 1)
        cv2.rectangle(image, (x0 - 5, y1 + 2), (x1 + 5, y1 + 5), (206, 202, 194), -1)
        cv2.line(image, (x0 - 4, y1 + 6), (x1 + 4, y1 + 6), (96, 90, 84), 2)
        if self.balconies and bottom < image.shape[0] - storey:
            rail = (70, 70, 74)
            top = y1 - int(0.55 * scale)
            cv2.rectangle(image, (x0 - 12, y1 + 4), (x1 + 12, y1 + 10), (150, 146, 140), -1)
            cv2.line(image, (x0 - 12, top), (x1 + 12, top), rail, 2)
            for x in range(x0 - 12, x1 + 13, 5):
                cv2.line(image, (x, top), (x, y1 + 4), rail, 1)


def _door(image: Image, rng: Rng, centre: int, bottom: int) -> None:
    """Draw a panelled house door in place."""
    scale = PIXELS_PER_METRE
    colours: tuple[Colour, ...] = ((84, 52, 36), (52, 72, 60), (60, 64, 84), (120, 36, 32), (150, 146, 138))
    colour = colours[int(rng.integers(len(colours)))]
    half, tall = int(0.55 * scale), int(2.2 * scale)
    cv2.rectangle(
        image, (centre - half - 4, bottom - tall - 4), (centre + half + 4, bottom), (208, 202, 190), -1
    )
    cv2.rectangle(image, (centre - half, bottom - tall), (centre + half, bottom), colour, -1)
    for y0, y1 in ((0.12, 0.45), (0.55, 0.9)):
        corners = ((centre - half + 6, bottom - int(tall * y1)), (centre + half - 6, bottom - int(tall * y0)))
        cv2.rectangle(image, *corners, scaled(colour, 0.75), 2)
    cv2.rectangle(image, (centre - half - 8, bottom), (centre + half + 8, bottom + 5), (150, 148, 142), -1)


def _shop(image: Image, rng: Rng, bottom: int, storey: int) -> None:
    """Draw a row of shop windows with a sign board, some with awnings, in place."""
    scale = PIXELS_PER_METRE
    width = image.shape[1]
    units = max(1, round(width / (5 * scale)))
    for unit in range(units):
        x0, x1 = unit * width // units + 8, (unit + 1) * width // units - 8
        sign = _SIGNS[int(rng.integers(len(_SIGNS)))]
        top = bottom - int(storey * 0.94)
        cv2.rectangle(image, (x0, top), (x1, image.shape[0] - 6), scaled(sign, 0.5), -1)
        cv2.rectangle(image, (x0, top), (x1, top + int(0.6 * scale)), sign, -1)
        x = x0 + 14
        while x < x1 - 20:  # lettering
            wide = int(rng.integers(5, 12))
            cv2.rectangle(image, (x, top + 6), (x + wide, top + int(0.6 * scale) - 7), (240, 236, 224), -1)
            x += wide + int(rng.integers(3, 6))
        glass_top, glass_bottom = top + int(0.7 * scale), image.shape[0] - int(0.5 * scale)
        for pane in range(3):
            left, right = x0 + 5 + pane * (x1 - x0 - 5) // 3, x0 + (pane + 1) * (x1 - x0 - 5) // 3
            glass = float(rng.uniform(46, 92))
            cv2.rectangle(
                image, (left, glass_top), (right, glass_bottom), (glass, glass * 1.05, glass * 1.1), -1
            )
            for _ in range(7):  # goods on display
                gx, gy = (
                    int(rng.integers(left, max(left + 1, right - 10))),
                    int(rng.integers(glass_top, glass_bottom)),
                )
                tint: Colour = tuple(float(v) for v in rng.uniform(60, 200, 3))  # type: ignore[assignment]
                size = (int(rng.integers(4, 14)), int(rng.integers(6, 20)))
                end = (min(right, gx + size[0]), min(glass_bottom, gy + size[1]))
                cv2.rectangle(image, (gx, gy), end, tint, -1)
        if rng.random() < 0.4:
            stripes = (sign, (232, 226, 214))
            for index, x in enumerate(range(x0 - 4, x1, 10)):
                corners = ((x, top + int(0.6 * scale)), (min(x + 9, x1 + 4), top + int(1.25 * scale)))
                cv2.rectangle(image, *corners, stripes[index % 2], -1)


def _tiles(rng: Rng) -> Image:
    """Paint roof tiles (192, 512, 3) in courses."""
    colour = _ROOFS[int(rng.integers(len(_ROOFS)))]
    height, width = 192, 512
    tint = noise(rng, height, width, 6, 4) * 9 + rng.normal(0, 7, (height, width)).astype(np.float32)
    courses = np.repeat(rng.normal(0, 9, (height // 6, width // 8)).astype(np.float32), 6, axis=0)
    tint += np.repeat(courses, 8, axis=1)
    tint[::6] -= 30
    tint[1::6] -= 12
    tint[:, ::8] -= 10
    return paint(colour, height, width, tint)
