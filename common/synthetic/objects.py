"""Model what stands in a street: trees, bushes, hedges, fences, lamps, signs, people.

Every model stands around its own origin on the ground, seen from -Z.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.synthetic.geometry import Mesh, Model, quad
from common.synthetic.labels import LIGHT, PERSON, POLE, SIGN, VEGETATION
from common.synthetic.textures import Colour, Rng, Texture, hedge, leaves, paint, scaled


def tree(rng: Rng, autumn: float) -> Model:
    """Build a tree: a trunk and three layers of crown, one behind the other."""
    green: Colour = (float(rng.uniform(70, 112)), float(rng.uniform(108, 142)), float(rng.uniform(40, 66)))
    if rng.random() < autumn:
        green = (float(rng.uniform(150, 190)), float(rng.uniform(100, 140)), 50.0)
    height, spread = float(rng.uniform(5.5, 11)), float(rng.uniform(3.6, 6.5))
    crown = height * float(rng.uniform(0.62, 0.78))
    trunk = np.zeros((64, 16, 3), np.uint8)
    trunk[:] = np.clip(np.array((92, 78, 62)) * rng.uniform(0.7, 1.25, (64, 16, 1)), 0, 255).astype(np.uint8)
    trunk = (trunk * np.linspace(0.7, 1.15, 16)[None, :, None].clip(0, 1.1)).astype(np.uint8)
    thick = float(rng.uniform(0.18, 0.34))
    tall = height - crown * 0.55
    faces = [quad((-thick / 2, tall, 0), (thick, 0, 0), (0, -tall, 0), Texture(trunk), VEGETATION, 0.8, True)]
    picture = Texture(leaves(rng, 224, 224, green, 0.5))
    for depth, size, shade in ((0.9, 0.86, 0.72), (0.0, 1.0, 0.9), (-0.9, 0.8, 1.0)):
        wide, high = spread * size, crown * size
        left, top = (
            -wide / 2 + float(rng.uniform(-0.3, 0.3)),
            height - (crown - high) * float(rng.uniform(0.3, 0.8)),
        )
        mirrored = rng.random() < 0.5
        corner, across = (
            ((left + wide, top, depth), (-wide, 0, 0)) if mirrored else ((left, top, depth), (wide, 0, 0))
        )
        faces.append(quad(corner, across, (0, -high, 0), picture, VEGETATION, shade, True))
    return Model(Mesh.of(faces), spread, spread, height)


def bush(rng: Rng) -> Model:
    """Build a round bush of one layer."""
    size = float(rng.uniform(0.9, 2.2))
    picture = Texture(leaves(rng, 96, 96, (84.0, 112.0, 52.0), 0.1))
    face = quad(
        (-size / 2, size * 0.85, 0), (size, 0, 0), (0, -size * 0.95, 0), picture, VEGETATION, 0.95, True
    )
    return Model(Mesh.of([face]), size, size, size)


def hedge_texture(rng: Rng) -> Texture:
    """Paint the texture of hedges."""
    return Texture(hedge(rng, (float(rng.uniform(66, 92)), float(rng.uniform(94, 118)), 48.0)))


def fence_texture(rng: Rng) -> Texture:
    """Paint a picket fence or railing with gaps (48, 256, 4)."""
    wood = rng.random() < 0.5
    colour: Colour = (176, 150, 116) if wood else (60, 64, 66)
    image = np.zeros((48, 256, 4), np.uint8)
    image[..., :3] = np.array(colour, np.uint8)
    for x in range(2, 256, 16 if wood else 8):
        image[2:, x : x + (10 if wood else 3), 3] = 255
    for y in (10, 38):
        image[y : y + 4, :, 3] = 255
        image[y : y + 4, :, :3] = np.array(scaled(colour, 0.8), np.uint8)
    return Texture(image)


def lamp(rng: Rng) -> Model:
    """Build a street lamp whose arm reaches to -X."""
    grey = Texture(paint((112, 116, 116), 4, 4))
    tall, arm = float(rng.uniform(6, 8.5)), float(rng.uniform(1.0, 2.0))
    faces = [
        quad((-0.07, tall, 0), (0.14, 0, 0), (0, -tall, 0), grey, POLE, 0.8, True),
        quad((-arm, tall, 0), (arm, 0, 0), (0, -0.1, 0), grey, POLE, 0.8, True),
        quad((-arm - 0.5, tall + 0.04, 0), (0.6, 0, 0), (0, -0.16, 0), grey, POLE, 1.2, True),
    ]
    return Model(Mesh.of(faces), 0.2, 0.2, tall)


def sign(rng: Rng) -> Model:
    """Build a traffic sign on a post: round, triangular, square or a signal head."""
    picture = np.zeros((64, 64, 4), np.uint8)
    rgb, alpha = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    kind = int(rng.integers(4))
    label, wide, tall_board = SIGN, 0.75, 0.75
    if kind == 0:
        rgb[:] = (196, 24, 28)
        cv2.circle(alpha, (32, 32), 31, 255, -1, cv2.LINE_AA)
        cv2.circle(rgb, (32, 32), 23, (236, 236, 232), -1, cv2.LINE_AA)
        cv2.putText(rgb, "30", (16, 41), cv2.FONT_HERSHEY_SIMPLEX, 0.85, (20, 20, 22), 3, cv2.LINE_AA)
    elif kind == 1:
        rgb[:] = (196, 24, 28)
        cv2.fillPoly(alpha, [np.array(((32, 2), (62, 60), (2, 60)), np.int32)], 255, cv2.LINE_AA)
        cv2.fillPoly(rgb, [np.array(((32, 20), (50, 53), (14, 53)), np.int32)], (238, 238, 232), cv2.LINE_AA)
    elif kind == 2:
        rgb[:] = (30, 84, 164)
        alpha[2:62, 2:62] = 255
        cv2.putText(rgb, "P", (16, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (238, 238, 236), 5, cv2.LINE_AA)
    else:
        label, wide, tall_board = LIGHT, 0.34, 0.9
        rgb[:] = (26, 28, 26)
        alpha[:] = 255
        lit_lamp = int(rng.integers(3))
        on: tuple[Colour, ...] = ((230, 40, 30), (240, 180, 40), (40, 210, 110))
        for index, y in enumerate((11, 32, 53)):
            cv2.ellipse(
                rgb, (32, y), (22, 8), 0, 0, 360, on[index] if index == lit_lamp else (52, 52, 50), -1
            )
    picture[..., :3], picture[..., 3] = rgb, alpha
    tall = float(rng.uniform(2.3, 3.2))
    grey = Texture(paint((128, 130, 130), 4, 4))
    board, top = Texture(picture), tall + tall_board * 0.3
    faces = [
        quad((-0.04, tall, 0.02), (0.08, 0, 0), (0, -tall, 0), grey, POLE, 0.8, True),
        quad((-wide / 2, top, 0), (wide, 0, 0), (0, -tall_board, 0), board, label, 0.95, True),
    ]  # fmt: skip
    return Model(Mesh.of(faces), 0.2, 0.2, tall)


def person(rng: Rng) -> Model:
    """Build a standing or walking person."""
    image, alpha = np.zeros((160, 64, 3), np.uint8), np.zeros((160, 64), np.uint8)
    coat: Colour = (float(rng.uniform(30, 200)), float(rng.uniform(30, 150)), float(rng.uniform(30, 160)))
    legs: Colour = (46, 52, 74) if rng.random() < 0.6 else (40, 38, 36)
    skin: Colour = (206, 164, 136) if rng.random() < 0.7 else (120, 84, 64)
    stride = int(rng.integers(2, 12))
    image[:] = np.array(coat, np.uint8)

    def dab(points: list[tuple[int, int]], thick: int, colour: Colour) -> None:
        for canvas, value in ((image, colour), (alpha, (255.0, 255.0, 255.0))):
            cv2.polylines(canvas, [np.array(points, np.int32)], False, value, thick, cv2.LINE_AA)

    dab([(29, 84), (30 - stride // 2, 118), (28 - stride, 153)], 11, legs)
    dab([(35, 84), (35 + stride // 2, 118), (36 + stride, 153)], 11, scaled(legs, 0.8))
    dab([(24 - stride, 154), (32 - stride, 155)], 7, (26, 24, 24))
    dab([(34 + stride, 154), (42 + stride, 155)], 7, (26, 24, 24))
    dab([(32, 38), (32, 80)], 23, coat)
    dab([(22, 38), (17, 62), (18 + stride // 2, 80)], 8, scaled(coat, 0.82))
    dab([(42, 38), (47, 62), (45 - stride // 2, 80)], 8, scaled(coat, 0.9))
    cv2.circle(image, (32, 14), 10, skin, -1, cv2.LINE_AA)
    cv2.circle(alpha, (32, 14), 10, 255, -1, cv2.LINE_AA)
    cv2.ellipse(image, (32, 11), (10, 8), 0, 180, 360, (52, 38, 28), -1, cv2.LINE_AA)
    tall = float(rng.uniform(1.55, 1.9))
    wide = tall * 0.4
    picture = Texture(np.dstack((image, alpha)))
    face = quad((-wide / 2, tall, 0), (wide, 0, 0), (0, -tall, 0), picture, PERSON, 0.95, True)
    return Model(Mesh.of([face]), 0.6, 0.5, tall)
