"""Make the textures of a street: noise, ground, leaves, sky; each filtered down before it is sampled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Float = NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[float, float, float]

ROAD_LENGTH_M = 48.0
"""Length after which the ground textures repeat along the street."""


class Texture:
    """Hold an image (H, W, 3|4) uint8 and its copies halved separately in height and width.

    A wall or a road seen at a shallow angle shrinks far more in one direction than in the other; halving each
    direction on its own keeps such surfaces sharp without aliasing. Copies are made when first asked for.
    """

    __slots__ = ("_levels", "alpha", "image")

    def __init__(self, image: Image) -> None:
        self.image: Image = np.ascontiguousarray(image)
        self.alpha = image.shape[2] == 4
        self._levels: dict[tuple[int, int], Image] = {(0, 0): self.image}

    def level(self, rows: int, columns: int) -> Image:
        """Return the image halved `rows` times in height and `columns` times in width (never below 2 px)."""
        height, width = self.image.shape[:2]
        rows = max(0, min(rows, height.bit_length() - 2))
        columns = max(0, min(columns, width.bit_length() - 2))
        found = self._levels.get((rows, columns))
        if found is None:
            size = (max(2, width >> columns), max(2, height >> rows))
            source = self.level(rows - 1, columns) if rows > columns else self.level(rows, columns - 1)
            found = np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA), np.uint8)
            self._levels[(rows, columns)] = found
        return found


def noise(rng: Rng, height: int, width: int, cells: int, octaves: int = 4) -> NDArray[np.float32]:
    """Draw tileable fractal noise (H, W) float32 with mean 0, peaks near 1, `cells` cells along the width."""
    total = np.zeros((height, width), np.float32)
    gain = 1.0
    for octave in range(octaves):
        across = min(cells << octave, width)
        down = max(1, min(round(across * height / width), height))
        grid = rng.uniform(-1.0, 1.0, (down, across)).astype(np.float32)
        padded = np.pad(grid, 2, mode="wrap")
        scale_y, scale_x = height / down, width / across
        rows = ((np.arange(height, dtype=np.float32) + 0.5) / scale_y + 1.5).astype(np.float32)
        columns = ((np.arange(width, dtype=np.float32) + 0.5) / scale_x + 1.5).astype(np.float32)
        map_x, map_y = np.meshgrid(columns, rows)
        total += gain * cv2.remap(padded, map_x, map_y, cv2.INTER_LINEAR)
        gain *= 0.55
    return total


def paint(colour: Colour, height: int, width: int, variation: NDArray[np.float32] | None = None) -> Image:
    """Fill an (H, W, 3) uint8 image with a colour, lighter and darker by an (H, W) variation in levels."""
    base = np.empty((height, width, 3), np.float32)
    base[:] = colour
    if variation is not None:
        base += variation[..., None]
    return np.clip(base, 0, 255).astype(np.uint8)


def scaled(colour: Colour, gain: float) -> Colour:
    """Return the colour multiplied by a gain."""
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


def road(rng: Rng, half_width_m: float, parking_m: float, dashed: bool) -> Image:
    """Paint ROAD_LENGTH_M of carriageway (1024, 1024, 3): asphalt, patches, cracks, manholes, lane markings.

    Columns run from the left kerb to the right kerb, rows along the street.
    """
    size = 1024
    tone = float(rng.uniform(72, 118))
    texture = noise(rng, size, size, 256, 2) * 7 + noise(rng, size, size, 6, 4) * 7
    texture += rng.normal(0, 6, (size, size)).astype(np.float32)
    per_metre_x, per_metre_y = size / (2 * half_width_m), size / ROAD_LENGTH_M
    across = (np.arange(size) + 0.5) / per_metre_x - half_width_m
    # Wheels polish and stain the lanes in two bands each.
    lane = (half_width_m - parking_m) / 2
    for centre in (-lane - 0.75, -lane + 0.75, lane - 0.75, lane + 0.75):
        texture += (-6.0 * np.exp(-(((across - centre) / 0.35) ** 2)))[None, :].astype(np.float32)
    image = paint((tone, tone, tone * 1.02), size, size, texture)
    for _ in range(int(rng.integers(3, 7))):  # repaired patches
        x, y = (int(v) for v in rng.integers(40, size - 260, 2))
        wide, long = int(rng.uniform(0.8, 2.5) * per_metre_x), int(rng.uniform(1.5, 7) * per_metre_y)
        region = image[y : y + long, x : x + wide].astype(np.float32) + rng.uniform(-22, 10)
        image[y : y + long, x : x + wide] = np.clip(region, 0, 255).astype(np.uint8)
        cv2.rectangle(image, (x, y), (x + wide, y + long), scaled((tone, tone, tone), 0.62), 2)
    for _ in range(int(rng.integers(6, 14))):  # cracks
        steps = np.cumsum(rng.normal(0, 1, (24, 2)) * (9, 5) + (0, 6), axis=0) + rng.uniform(
            60, size - 200, 2
        )
        cv2.polylines(image, [steps.astype(np.int32)], False, scaled((tone, tone, tone), 0.6), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 4))):  # manhole covers
        centre_px = (int(rng.uniform(0.3, 0.7) * size), int(rng.uniform(0.1, 0.9) * size))
        axes = (int(0.33 * per_metre_x), int(0.33 * per_metre_y))
        cv2.ellipse(image, centre_px, axes, 0, 0, 360, scaled((tone, tone, tone), 0.55), -1, cv2.LINE_AA)
        cv2.ellipse(image, centre_px, axes, 0, 0, 360, scaled((tone, tone, tone), 0.8), 2, cv2.LINE_AA)
    _mark(image, rng, half_width_m, parking_m, dashed)
    return image


def _mark(image: Image, rng: Rng, half_width_m: float, parking_m: float, dashed: bool) -> None:
    """Draw worn lane markings and the gutters on a carriageway in place."""
    size = image.shape[1]
    per_metre_x, per_metre_y = size / (2 * half_width_m), size / ROAD_LENGTH_M
    paint_layer = np.zeros(image.shape[:2], np.float32)

    def stripe(x_m: float, z0_m: float, z1_m: float, width_m: float) -> None:
        left = int((x_m - width_m / 2 + half_width_m) * per_metre_x)
        right = max(left + 1, int((x_m + width_m / 2 + half_width_m) * per_metre_x))
        paint_layer[int(z0_m * per_metre_y) : int(z1_m * per_metre_y), left:right] = 1.0

    if dashed:
        for start in np.arange(0.0, ROAD_LENGTH_M, 8.0):
            stripe(0.0, float(start), float(start) + 3.6, 0.14)
    else:
        stripe(0.0, 0.0, ROAD_LENGTH_M, 0.14)
    if parking_m > 0:
        edge = half_width_m - parking_m
        for start in np.arange(0.0, ROAD_LENGTH_M, 6.0):
            for sign in (-1, 1):
                stripe(sign * edge, float(start), float(start) + 1.2, 0.1)
    else:
        for sign in (-1, 1):
            stripe(sign * (half_width_m - 0.35), 0.0, ROAD_LENGTH_M, 0.12)
    worn = np.clip(0.86 + 0.5 * noise(rng, size, size, 48, 3), 0.25, 1.0)
    weight = (cv2.GaussianBlur(paint_layer, (3, 3), 0) * worn)[..., None]
    white = np.array((214, 212, 205), np.float32)
    image[:] = np.clip(image * (1 - weight) + white * weight, 0, 255).astype(np.uint8)
    gutter = int(0.25 * per_metre_x)
    for columns in (slice(0, gutter), slice(size - gutter, size)):
        image[:, columns] = (image[:, columns] * 0.82).astype(np.uint8)


def verge(rng: Rng, pavement_m: float, width_m: float, lawn: bool) -> Image:
    """Paint ROAD_LENGTH_M of what lies beside the road (1024, 512, 3): kerb, pavement, then lawn or paving.

    Columns run outwards from the kerb over `width_m`, rows along the street.
    """
    height, width = 1024, 512
    per_metre_x, per_metre_y = width / width_m, height / ROAD_LENGTH_M
    tone = float(rng.uniform(128, 172))
    warm = float(rng.uniform(0.9, 1.0))
    slab = float(rng.choice([0.4, 0.6, 0.8]))
    grain = noise(rng, height, width, 128, 2) * 6 + noise(rng, height, width, 5, 3) * 9
    slabs_y, slabs_x = round(ROAD_LENGTH_M / slab), round(width_m / slab)
    shade = rng.normal(0, 6, (slabs_y, slabs_x)).astype(np.float32)
    grain += cv2.resize(shade, (width, height), interpolation=cv2.INTER_NEAREST)
    image = paint((tone, tone * (warm + 1) / 2, tone * warm), height, width, grain)
    joint = scaled((tone, tone, tone), 0.72)
    for row in range(slabs_y):
        y = int(row * slab * per_metre_y)
        cv2.line(image, (0, y), (width, y), joint, 1)
    for column in range(slabs_x):
        x = int(column * slab * per_metre_x)
        cv2.line(image, (x, 0), (x, height), joint, 1)
    if lawn:
        start = int(pavement_m * per_metre_x)
        image[:, start:] = grass(rng, height, width)[:, start:]
    kerb = int(0.2 * per_metre_x)
    image[:, :kerb] = paint((165, 163, 158), height, kerb, noise(rng, height, width, 128, 2)[:, :kerb] * 10)
    for y_m in np.arange(0.0, ROAD_LENGTH_M, 1.0):
        image[int(y_m * per_metre_y), :kerb] = (110, 108, 104)
    cv2.line(image, (kerb, 0), (kerb, height), (112, 110, 106), 1)
    return image


def grass(rng: Rng, height: int, width: int) -> Image:
    """Paint a mown lawn (H, W, 3) with lighter, darker and dry patches."""
    patch = noise(rng, height, width, 6, 4)
    blades = rng.normal(0, 10, (height, width)).astype(np.float32)
    dry = np.clip(patch * 0.6 + 0.3, 0, 1)[..., None]
    base = np.array((84, 106, 52), np.float32) * (1 - dry) + np.array((126, 128, 76), np.float32) * dry
    lawn: Image = np.clip(base + (blades + patch * 10)[..., None], 0, 255).astype(np.uint8)
    return lawn


def leaves(rng: Rng, height: int, width: int, green: Colour, holes: float) -> Image:
    """Paint a crown of leaves (H, W, 4): dabs lit from above, a ragged edge, gaps to look through."""
    image = np.zeros((height, width, 4), np.uint8)
    image[..., :3] = np.array(scaled(green, 0.42), np.float32).astype(np.uint8)
    clumps = [(0.5, 0.52, 0.3)]
    for _ in range(13):
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.16, 0.3)
        clumps.append((0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle), rng.uniform(0.1, 0.18)))
    clumps.sort(key=lambda clump: -clump[1])
    dab = max(2, width // 60)
    for cx, cy, radius in clumps:
        count = int(190 * radius / 0.2)
        distance, angles = radius * np.sqrt(rng.random(count)), rng.uniform(0, 2 * np.pi, count)
        x, y = cx + distance * np.cos(angles), cy + distance * np.sin(angles)
        light = 0.55 + 0.75 * (1 - cy) + rng.uniform(-0.1, 0.1)
        gains = light * (0.78 - 0.42 * (y - cy) / radius) * rng.uniform(0.75, 1.2, count)
        sizes = (dab * rng.uniform(0.6, 1.7, count)).astype(int) + 1
        places = np.stack((x * width, y * height), axis=1).astype(int).tolist()
        for place, size, gain in zip(places, sizes.tolist(), gains.tolist(), strict=True):
            cv2.circle(image, place, size, (*scaled(green, gain), 255.0), -1, cv2.LINE_AA)
    alpha = np.ascontiguousarray(image[..., 3])
    gaps = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), width / 70)
    gaps = (gaps - gaps.mean()) / max(float(gaps.std()), 1e-6)
    alpha[gaps > 2.2 - holes] = 0
    image[..., 3] = cv2.GaussianBlur(alpha, (3, 3), 0)
    return image


def hedge(rng: Rng, green: Colour) -> Image:
    """Paint a clipped hedge (64, 256, 4): dense leaves with a ragged top, dark at the foot."""
    height, width = 64, 256
    light = np.linspace(1.1, 0.5, height, dtype=np.float32)[:, None]
    mottle = 1 + 0.28 * noise(rng, height, width, 40, 3) + rng.normal(0, 0.14, (height, width))
    image = np.empty((height, width, 4), np.uint8)
    tint = np.array(green, np.float32) * (light * mottle)[..., None]
    image[..., :3] = np.clip(tint, 0, 255).astype(np.uint8)
    top = 4 + 3 * noise(rng, 1, width, 32, 3)[0]
    image[..., 3] = np.where(np.arange(height)[:, None] > top[None, :], 255, 0)
    return image


def sky(
    rng: Rng, cloudiness: float, zenith: Colour, horizon: Colour, tree: Colour
) -> tuple[Image, NDArray[np.bool_]]:
    """Paint the far world (256, 2048, 3) over -90..90 degrees of azimuth: sky, clouds, a hazy line of trees.

    Rows run from 45 degrees up to 3 degrees under the horizon.

    Returns:
        The image and a (256, 2048) mask that is true on the trees.
    """
    height, width = 256, 2048
    elevation = np.linspace(45, -3, height, dtype=np.float32)[:, None]
    climb = np.clip(elevation / 32, 0, 1) ** 0.7
    image = (
        np.array(horizon, np.float32) * (1 - climb[..., None])
        + np.array(zenith, np.float32) * climb[..., None]
    )
    image = np.repeat(image, width, axis=1) if image.shape[1] == 1 else image
    field = noise(rng, height, width, 14, 6)
    # Clouds flatten towards the horizon: stretch the rows of the noise there.
    rows = (np.linspace(0, 1, height, dtype=np.float32) ** 0.6 * (height - 1)).astype(np.float32)
    map_x, map_y = np.meshgrid(np.arange(width, dtype=np.float32), rows)
    field = np.asarray(cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR), np.float32)
    cover = np.clip((field - 0.55 + 1.25 * cloudiness) * 1.5, 0, 1)
    cover *= np.clip((elevation - 1) / 10, 0, 1)
    white = np.clip(244 - 46 * np.clip(field - 0.2, 0, 1.2), 120, 255)[..., None]
    image = image * (1 - 0.9 * cover[..., None]) + white * 0.9 * cover[..., None]
    ridge = 2.0 + 0.9 * noise(rng, 1, width, 24, 5)[0]
    hills = elevation < ridge[None, :]
    mottle = 1 + 0.16 * noise(rng, height, width, 300, 2)
    far_trees = np.array(tree, np.float32) * mottle[..., None]
    image = np.where(hills[..., None], 0.5 * far_trees + 0.5 * np.array(horizon, np.float32), image)
    return np.clip(image, 0, 255).astype(np.uint8), hills
