"""Model cars, vans and lorries: bodies with windows, wheels, lamps and number plates.

Every model stands around its own origin on the ground, its front towards +Z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from common.synthetic.geometry import Face, Mesh, Model, outline, quad
from common.synthetic.labels import CAR, TRUCK
from common.synthetic.textures import Colour, Image, Rng, Texture, paint, scaled

_CAR_COLOURS: tuple[Colour, ...] = (
    (42, 44, 48), (188, 190, 192), (228, 228, 224), (120, 124, 130), (30, 50, 96), (140, 28, 30),
    (64, 70, 74), (170, 172, 176), (36, 72, 60), (92, 30, 36), (202, 196, 180), (60, 96, 150),
)  # fmt: skip
_SCALE = 48  # texture pixels per metre of a car


@dataclass(frozen=True)
class _Shape:
    """Hold the side outline of a car: lengths from its middle, heights above the ground, in metres."""

    length: float
    width: float
    height: float
    belt: float
    nose: float
    tail: float
    cabin: tuple[float, float]
    roof: tuple[float, float]


_SHAPES = (
    _Shape(4.5, 1.80, 1.45, 0.95, 0.74, 0.92, (-1.75, 1.05), (-1.0, 0.15)),  # saloon
    _Shape(4.0, 1.74, 1.50, 0.96, 0.76, 0.95, (-1.98, 1.05), (-1.65, 0.35)),  # hatchback
    _Shape(4.6, 1.80, 1.48, 0.96, 0.76, 0.96, (-2.25, 1.05), (-1.95, 0.25)),  # estate
    _Shape(4.5, 1.86, 1.70, 1.08, 0.90, 1.06, (-2.2, 1.10), (-1.9, 0.35)),  # off-roader
    _Shape(5.0, 1.95, 2.00, 1.15, 0.98, 1.15, (-2.48, 1.75), (-2.4, 1.0)),  # van
)


def car(rng: Rng) -> Model:
    """Build a car of random shape and colour."""
    colour = _CAR_COLOURS[int(rng.integers(len(_CAR_COLOURS)))]
    shape = _SHAPES[int(rng.choice(5, p=(0.25, 0.3, 0.2, 0.15, 0.1)))]
    return Model(Mesh.of(_car_faces(shape, colour, rng)), shape.width, shape.length, shape.height)


def lorry(rng: Rng) -> Model:
    """Build a box lorry: a cab in front of a tall box."""
    colours: tuple[Colour, ...] = ((222, 222, 216), (180, 40, 36), (40, 90, 150), (210, 170, 50))
    colour = colours[int(rng.integers(len(colours)))]
    shape = _Shape(2.2, 2.3, 2.5, 1.3, 1.2, 1.3, (-1.1, 1.08), (-1.1, 0.75))
    cab = [_moved(face, 2.6) for face in _car_faces(shape, colour, rng)]
    panel = paint(colour, 96, 192, rng.normal(0, 3, (96, 192)).astype(np.float32))
    cv2.rectangle(panel, (30, 30), (160, 60), scaled(colour, 0.6), -1)
    cv2.rectangle(panel, (0, 88), (191, 95), (40, 40, 42), -1)
    back = paint(scaled(colour, 0.92), 96, 96)
    cv2.line(back, (48, 0), (48, 95), (60, 60, 60), 2)
    cv2.rectangle(back, (4, 82), (20, 90), (170, 24, 20), -1)
    cv2.rectangle(back, (75, 82), (91, 90), (170, 24, 20), -1)
    box = _box(1.2, 0.6, 3.2, (-3.7, 1.45), Texture(panel), Texture(back), TRUCK)
    axles = Texture(paint((24, 24, 26), 8, 8))
    box += [quad((-1.1, 0.6, -3.5), (2.2, 0, 0), (0, -0.6, 0), axles, TRUCK)]
    return Model(Mesh.of(box + cab), 2.4, 7.4, 3.2)


def _moved(face: Face, forward_m: float) -> Face:
    """Return a car's face as a lorry's, further forward."""
    frame = face.frame.copy()
    frame[0, 2] += forward_m
    return replace(face, points=face.points + np.array((0.0, 0.0, forward_m)), frame=frame, label=TRUCK)


def _box(
    half: float, low: float, high: float, ends: tuple[float, float], side: Texture, end: Texture, label: int
) -> list[Face]:
    """Build an upright box without its bottom."""
    back, front, tall, long = ends[0], ends[1], high - low, ends[1] - ends[0]
    return [
        quad((half, high, back), (0, 0, long), (0, -tall, 0), side, label),
        quad((-half, high, front), (0, 0, -long), (0, -tall, 0), side, label),
        quad((-half, high, back), (2 * half, 0, 0), (0, -tall, 0), end, label),
        quad((half, high, front), (-2 * half, 0, 0), (0, -tall, 0), end, label),
        quad((-half, high, front), (2 * half, 0, 0), (0, 0, -long), end, label),
    ]


def _car_faces(s: _Shape, colour: Colour, rng: Rng) -> list[Face]:
    half, roof_half, end = s.width / 2, s.width * 0.39, s.length / 2
    picture = _side(s, colour)
    side, mirrored = Texture(picture), Texture(picture[:, ::-1])
    body, dark = Texture(paint(colour, 16, 16)), Texture(paint((30, 33, 37), 16, 16))
    screen, glass = Texture(_glass(64, 128, colour)), Texture(_side_glass(s, colour))
    low = 0.3
    c0, c1 = s.cabin
    r0, r1 = s.roof
    faces = [
        # Right and left sides (the texture's left is the car's tail on the right side).
        quad((half, s.belt, -end), (0, 0, s.length), (0, -s.belt, 0), side, CAR),
        quad((-half, s.belt, end), (0, 0, -s.length), (0, -s.belt, 0), mirrored, CAR),
        quad((-half, s.tail, -end), (s.width, 0, 0), (0, -s.tail, 0), Texture(_rear(s, colour, rng)), CAR),
        quad((half, s.nose, end), (-s.width, 0, 0), (0, -s.nose, 0), Texture(_front(s, colour, rng)), CAR),
        outline([(half, s.nose, end), (half, s.belt, c1), (-half, s.belt, c1), (-half, s.nose, end)],
                body, CAR),
        outline([(-roof_half, s.height, r1), (roof_half, s.height, r1), (roof_half, s.height, r0),
                 (-roof_half, s.height, r0)], body, CAR),
        outline([(roof_half, s.height, r1), (-roof_half, s.height, r1), (-half, s.belt, c1),
                 (half, s.belt, c1)], screen, CAR),
        outline([(-roof_half, s.height, r0), (roof_half, s.height, r0), (half, s.belt, c0),
                 (-half, s.belt, c0)], screen, CAR),
        outline([(roof_half, s.height, r0), (roof_half, s.height, r1), (half, s.belt, c1),
                 (half, s.belt, c0)], glass, CAR),
        outline([(-roof_half, s.height, r1), (-roof_half, s.height, r0), (-half, s.belt, c0),
                 (-half, s.belt, c1)], glass, CAR),
        quad((-half * 0.8, low + 0.1, -end + 0.25), (half * 1.6, 0, 0), (0, -low, 0), dark, CAR),
    ]  # fmt: skip
    if c0 > -end + 0.05:  # boot lid
        boot = [(-half, s.belt, c0), (half, s.belt, c0), (half, s.tail, -end), (-half, s.tail, -end)]
        faces.append(outline(boot, body, CAR))
    mirror = Texture(paint(scaled(colour, 0.7), 4, 4))
    for sign in (-1, 1):
        x = half if sign > 0 else -half - 0.18
        faces.append(
            quad((x, s.belt + 0.14, c1 - 0.35), (0.18, 0, 0), (0, -0.14, 0), mirror, CAR, None, True)
        )
    return faces


def _side(s: _Shape, colour: Colour) -> Image:
    """Paint the lower side of a car, tail at the left, with wheels; transparent around the outline."""
    height, width = int(s.belt * _SCALE), int(s.length * _SCALE)
    image = np.zeros((height, width, 4), np.uint8)
    light = np.linspace(1.12, 0.72, height, dtype=np.float32)[:, None, None]
    image[..., :3] = np.clip(np.array(colour, np.float32) * light, 0, 255).astype(np.uint8)

    def at(z: float, y: float) -> tuple[int, int]:
        return int((z + s.length / 2) * _SCALE), int((s.belt - y) * _SCALE)

    end = s.length / 2
    rim = [(-end + 0.06, 0.3), (-end, 0.5), (-end + 0.02, s.tail), (s.cabin[0], s.belt), (s.cabin[1], s.belt),
           (end - 0.03, s.nose), (end, 0.5), (end - 0.08, 0.26)]  # fmt: skip
    body = np.zeros((height, width), np.uint8)
    cv2.fillPoly(body, [np.array([at(*p) for p in rim], np.int32)], 255, cv2.LINE_AA)
    rgb = np.ascontiguousarray(image[..., :3])
    cv2.line(rgb, at(-end, 0.66), at(end, 0.62), scaled(colour, 0.78), 2, cv2.LINE_AA)
    cv2.rectangle(rgb, at(-end, 0.36), at(end, 0.2), (34, 34, 36), -1)
    for z in (s.cabin[0] * 0.35, s.roof[1] + 0.25):  # door gaps and handles
        cv2.line(rgb, at(z, s.belt), at(z, 0.36), scaled(colour, 0.5), 1, cv2.LINE_AA)
        cv2.rectangle(rgb, at(z - 0.3, s.belt - 0.13), at(z - 0.12, s.belt - 0.17), scaled(colour, 0.55), -1)
    cv2.rectangle(rgb, at(-end, s.tail - 0.1), at(-end + 0.22, s.tail - 0.26), (150, 24, 22), -1)
    cv2.rectangle(rgb, at(end - 0.3, s.nose - 0.03), at(end, s.nose - 0.17), (216, 218, 220), -1)
    radius = 0.33
    for z in (-end + 0.85, end - 0.85):
        cv2.circle(rgb, at(z, radius), int(radius * 1.17 * _SCALE), (16, 16, 18), -1, cv2.LINE_AA)
        cv2.circle(rgb, at(z, radius), int(radius * _SCALE), (30, 30, 32), -1, cv2.LINE_AA)
        cv2.circle(rgb, at(z, radius), int(radius * 0.64 * _SCALE), (158, 160, 164), -1, cv2.LINE_AA)
        for spoke in range(5):
            angle = spoke * 2 * np.pi / 5
            tip = at(z + 0.19 * np.cos(angle), radius + 0.19 * np.sin(angle))
            cv2.line(rgb, at(z, radius), tip, (70, 72, 76), 2, cv2.LINE_AA)
        cv2.circle(body, at(z, radius), int(radius * _SCALE), 255, -1, cv2.LINE_AA)
    image[..., :3], image[..., 3] = rgb, body
    return image


def _glass(height: int, width: int, colour: Colour) -> Image:
    """Paint a windscreen: dark glass that mirrors the sky at its top, framed in the car's colour."""
    light = np.linspace(112, 44, height, dtype=np.float32)[:, None]
    image = np.repeat((light[..., None] * np.array((0.86, 0.95, 1.04), np.float32)), width, axis=1)
    out: Image = np.clip(image, 0, 255).astype(np.uint8)
    streak = np.array(
        ((width // 6, height), (width // 3, 0), (width // 2, 0), (width // 3, height)), np.int32
    )
    cv2.fillConvexPoly(out, streak, tuple(float(v) for v in out[height // 2, width // 2] * 1.12))
    for centre in (width // 4, 3 * width // 4):  # head rests, hardly seen
        cv2.ellipse(out, (centre, height), (width // 14, height // 4), 0, 180, 360, (36, 38, 40), -1)
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), scaled(colour, 0.8), 4)
    return out


def _side_glass(s: _Shape, colour: Colour) -> Image:
    """Paint the side windows with pillars between them."""
    height, width = 32, max(32, int((s.cabin[1] - s.cabin[0]) * _SCALE))
    light = np.linspace(92, 40, height, dtype=np.float32)[:, None, None]
    image = np.repeat(light * np.array((0.9, 0.97, 1.03), np.float32), width, axis=1)
    out: Image = np.clip(image, 0, 255).astype(np.uint8)
    for share in (0.02, 0.36, 0.68, 0.98):
        cv2.line(out, (int(share * width), 0), (int(share * width), height), scaled(colour, 0.55), 5)
    cv2.rectangle(out, (0, 0), (width - 1, height - 1), scaled(colour, 0.85), 3)
    return out


def _end_panel(s: _Shape, colour: Colour, tall: float) -> tuple[Image, Image]:
    """Start the tail or the nose of a car: colours (h, w, 3) and opacity (h, w) with the tyres below."""
    height, width = int(tall * _SCALE), int(s.width * _SCALE)
    light = np.linspace(1.05, 0.7, height, dtype=np.float32)[:, None, None]
    rgb = np.clip(np.repeat(np.array(colour, np.float32) * light, width, axis=1), 0, 255).astype(np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    sill = height - int(0.28 * _SCALE)
    cv2.rectangle(alpha, (1, 3), (width - 2, sill), 255, -1)
    cv2.rectangle(alpha, (4, 0), (width - 5, 3), 255, -1)
    rgb[sill - int(0.1 * _SCALE) :] = (32, 32, 34)
    tyre = int(0.2 * _SCALE)
    for left in (3, width - 4 - tyre):
        cv2.rectangle(alpha, (left, sill), (left + tyre, height - 1), 255, -1)
        rgb[sill:, left : left + tyre + 1] = (22, 22, 24)
    return rgb, alpha


def _plate(rgb: Image, centre: tuple[int, int], rng: Rng) -> None:
    x, y = centre
    cv2.rectangle(rgb, (x - 12, y - 3), (x + 12, y + 3), (228, 228, 222), -1)
    for offset in range(-10, 10, 3):
        if rng.random() < 0.8:
            cv2.line(rgb, (x + offset, y - 1), (x + offset, y + 1), (40, 40, 44), 1)


def _rear(s: _Shape, colour: Colour, rng: Rng) -> Image:
    rgb, alpha = _end_panel(s, colour, s.tail)
    height, width = alpha.shape
    lamp = int(0.24 * _SCALE)
    for left in (2, width - 3 - lamp):
        cv2.rectangle(rgb, (left, 5), (left + lamp, 5 + int(0.26 * _SCALE)), (168, 22, 20), -1)
        cv2.rectangle(rgb, (left, 7), (left + lamp, 10), (226, 120, 60), -1)
    cv2.line(rgb, (0, height // 2 + 2), (width, height // 2 + 2), scaled(colour, 0.55), 1)
    _plate(rgb, (width // 2, height // 2 - 4), rng)
    return np.dstack((rgb, alpha))


def _front(s: _Shape, colour: Colour, rng: Rng) -> Image:
    rgb, alpha = _end_panel(s, colour, s.nose)
    height, width = alpha.shape
    lamp = int(0.34 * _SCALE)
    for left in (2, width - 3 - lamp):
        cv2.rectangle(rgb, (left, 3), (left + lamp, 3 + int(0.15 * _SCALE)), (226, 228, 226), -1)
    cv2.rectangle(rgb, (width // 2 - 22, 4), (width // 2 + 22, 11), (28, 28, 30), -1)
    cv2.rectangle(rgb, (width // 5, height // 2 + 2), (width - width // 5, height // 2 + 8), (36, 36, 38), -1)
    _plate(rgb, (width // 2, height // 2 - 3), rng)
    return np.dstack((rgb, alpha))
