"""Lay out an endless street from a seed: style, light, what stands and drives there, the ego path.

Street coordinates: u metres to the right of the centre line, v metres along it. The centre line bends gently:
world X = u + bend(v), world Z = v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from common.synthetic import cars, objects, textures
from common.synthetic.facades import Facade, make_facade
from common.synthetic.geometry import Array, Face, Mesh, Model, Pose, outline, quad
from common.synthetic.labels import BUILDING, FENCE, VEGETATION
from common.synthetic.path import EgoPath, choose_style, seed_words
from common.synthetic.textures import Texture

CHUNK_M = 36.0
VIEW_M = 150.0
_SKY_STREAM, _, _CHUNK_STREAM, _POOL_STREAM, _TRAFFIC_STREAM = range(5)  # 1 is the style's


@dataclass(frozen=True)
class Instance:
    """Hold one thing in the street.

    Attributes:
        kind: What it is, for the caption.
        mesh: Its faces in the world, lit.
        u_m: Its place across the street.
        v_m: Its place along the street.
        far_m: Its far end along the street, by which things are painted.
        shadow: (N, 2) outline of its cast shadow in street coordinates, or None.
        contact: (N, 2) outline of the dark patch under it, or None.
    """

    kind: str
    mesh: Mesh
    u_m: float
    v_m: float
    far_m: float
    shadow: Array | None = None
    contact: Array | None = None


class Street:
    """Answer what is where in the street of one seed at any time, in any order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.style = choose_style(seed)
        self.path = EgoPath(self.style)
        rng = self._rng(_POOL_STREAM)
        style = self.style
        dashed = bool(rng.random() < 0.75)
        self.road = Texture(textures.road(rng, style.half_road_m, style.parking_m, dashed))
        self.verge_width_m = 14.0
        self.verge = Texture(textures.verge(rng, style.pavement_m, self.verge_width_m, not style.urban))
        self._facades = [self._facade(rng) for _ in range(7)]
        self._cars = [cars.car(rng) for _ in range(9)]
        self._lorry = cars.lorry(rng)
        self._trees = [objects.tree(rng, style.autumn) for _ in range(4)]
        self._bushes = [objects.bush(rng) for _ in range(3)]
        self._people = [objects.person(rng) for _ in range(4)]
        self._signs = [objects.sign(rng) for _ in range(4)]
        self._lamp = objects.lamp(rng)
        self._hedge, self._fence = objects.hedge_texture(rng), objects.fence_texture(rng)
        zenith = (96.0, 140.0, 200.0) if style.cloudiness < 0.6 else (178.0, 188.0, 200.0)
        sky_rng = self._rng(_SKY_STREAM)
        self.sky, self.sky_trees = textures.sky(
            sky_rng, style.cloudiness, zenith, style.haze, (74.0, 92.0, 62.0)
        )
        self._chunk = lru_cache(maxsize=24)(self._build_chunk)

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([*seed_words(self.seed), *(s & 0xFFFFFFFF for s in stream)])

    def _facade(self, rng: np.random.Generator) -> Facade:
        if self.style.urban:
            pitched, shops = bool(rng.random() < 0.3), bool(rng.random() < 0.4)
            return make_facade(rng, int(rng.integers(3, 6)), int(rng.integers(3, 6)), pitched, shops)
        return make_facade(rng, int(rng.integers(1, 3)), int(rng.integers(3, 5)), True, False)

    # --- the centre line and the ego path ---

    def bend(self, v_m: Array | float) -> Array:
        """Return the world X of the centre line at v."""
        return self.path.bend(v_m)

    def heading(self, v_m: float) -> float:
        """Return the direction of the street at v in radians, positive towards +X."""
        return self.path.heading(v_m)

    def ego_v(self, seconds: float) -> float:
        """Return how far along the street the ego car is."""
        return self.path.ego_v(seconds)

    def pose(self, seconds: float) -> Pose:
        """Return the pose of the main camera: in the right lane, swaying and pitching a little."""
        return self.path.pose(seconds)

    # --- what is there ---

    def instances(self, seconds: float) -> list[Instance]:
        """List everything near the ego car at a time, farthest first (the order of painting)."""
        ego = self.ego_v(seconds)
        first, last = int((ego - 8) // CHUNK_M), int((ego + VIEW_M) // CHUNK_M)
        found = [
            i for k in range(first, last + 1) for i in self._chunk(k) if ego - 8 < i.far_m < ego + VIEW_M
        ]
        found += self._traffic(seconds, ego)
        return sorted(found, key=lambda instance: -instance.far_m)

    def _traffic(self, seconds: float, ego: float) -> list[Instance]:
        style, lane = self.style, self.style.lane_m / 2
        rng = self._rng(_TRAFFIC_STREAM)
        spacing, speed = float(rng.uniform(26, 70)) / style.traffic, float(rng.uniform(6, 13))
        found = []
        first, last = (int(np.floor((x + speed * seconds) / spacing)) for x in (ego - 8, ego + VIEW_M))
        for index in range(first, last + 1):
            own = self._rng(_TRAFFIC_STREAM, 1, index)
            v = (index + float(own.uniform(0.2, 0.8))) * spacing - speed * seconds
            if not ego - 7 < v < ego + VIEW_M - 1:
                continue
            model = self._lorry if own.random() < 0.08 else self._cars[int(own.integers(len(self._cars)))]
            found.append(self._stand("car", model, -lane + float(own.normal(0, 0.15)), v, np.pi))
        if rng.random() < 0.35 + 0.5 * style.traffic:
            gap = float(rng.uniform(9, 34)) + 2.5 * float(np.sin(0.4 * seconds + rng.uniform(0, 6)))
            model = self._cars[int(rng.integers(len(self._cars)))]
            found.append(self._stand("car", model, lane + 0.1 * float(np.sin(0.3 * seconds)), ego + gap, 0.0))
        return found

    def _stand(self, kind: str, model: Model, u: float, v: float, turn: float) -> Instance:
        """Put a model at (u, v), turned against the street's direction, with its shadows."""
        heading = self.heading(v) + turn
        mesh = model.mesh.placed(u + float(self.bend(v)), v, heading).lit(self.style.light)
        half_w, half_l = model.width_m / 2, model.length_m / 2
        corners = np.array(((-half_w, -half_l), (half_w, -half_l), (half_w, half_l), (-half_w, half_l)))
        cos, sin = np.cos(turn), np.sin(turn)
        foot = corners @ np.array(((cos, -sin), (sin, cos))) + (u, v)
        contact = foot if kind == "car" else None
        return Instance(kind, mesh, u, v, v + 0.1, self._cast(foot, kind, model.height_m), contact)

    def _cast(self, foot: Array, kind: str, height_m: float) -> Array | None:
        """Return the outline of the shadow that a footprint throws when the sun shines, else None."""
        light = self.style.light
        if light.direct < 0.3:
            return None
        reach = -light.sun[[0, 2]] / max(float(light.sun[1]), 0.2)
        if kind == "tree":
            centre, radius = foot.mean(axis=0), float(np.ptp(foot[:, 0])) * 0.42
            angles = np.linspace(0, 2 * np.pi, 15)[:-1]
            ragged = radius * (1 + 0.22 * np.sin(5 * angles + centre[1]) + 0.12 * np.cos(9 * angles))
            ring = np.stack((np.cos(angles), np.sin(angles)), axis=1) * ragged[:, None]
            crown: Array = ring + centre + reach * height_m * 0.62
            return crown
        return np.concatenate((foot, foot + reach * height_m))

    def _build_chunk(self, index: int) -> tuple[Instance, ...]:
        found: list[Instance] = []
        start, style = index * CHUNK_M, self.style
        for side in (-1, 1):
            rng = self._rng(_CHUNK_STREAM, index, side + 1)
            front = style.half_road_m + style.pavement_m + style.garden_m + float(rng.uniform(0.0, 0.3))
            v = start + (0.0 if style.urban else float(rng.uniform(0, 4)))
            while v < start + CHUNK_M - 3:
                facade = self._facades[int(rng.integers(len(self._facades)))]
                gap = rng.random() < (0.1 if style.urban else 0.15)
                if gap or v + facade.width_m > start + CHUNK_M + 0.5:
                    found += self._gap(rng, side, front, v, min(v + 8.0, start + CHUNK_M))
                    v += 8.0
                    continue
                back = 0.0 if style.urban else float(rng.uniform(-0.5, 2.5))
                found.append(self._building(facade, side, front + back, v))
                v += facade.width_m
                if not style.urban:
                    yard = float(rng.uniform(2.5, 7.0))
                    found += self._gap(rng, side, front + 1.5, v, v + yard)
                    v += yard
            found += self._furniture(rng, side, start)
        return tuple(found)

    def _gap(self, rng: np.random.Generator, side: int, front: float, v0: float, v1: float) -> list[Instance]:
        """Fill a gap between buildings with trees and bushes."""
        found = []
        for _ in range(int(rng.integers(1, 4))):
            u, v = side * (front + float(rng.uniform(1.0, 8.0))), float(rng.uniform(v0 + 0.5, v1 - 0.2))
            tree = rng.random() < 0.6
            pool = self._trees if tree else self._bushes
            found.append(
                self._stand("tree" if tree else "bush", pool[int(rng.integers(len(pool)))], u, v, 0.0)
            )
        return found

    def _furniture(self, rng: np.random.Generator, side: int, start: float) -> list[Instance]:
        """Set out parked cars, trees, lamps, signs, people, hedges and fences along one side of a chunk."""
        style, found = self.style, []
        kerb, end = style.half_road_m, start + CHUNK_M
        for slot in range(6):
            v = start + (slot + 0.5) * CHUNK_M / 6 + float(rng.uniform(-0.4, 0.4))
            if style.parking_m > 0 and rng.random() < style.parked:
                model = self._cars[int(rng.integers(len(self._cars)))]
                turn = 0.0 if side > 0 else np.pi
                turn += float(rng.normal(0, 0.015))
                found.append(
                    self._stand("car", model, side * (kerb - 1.08 + float(rng.normal(0, 0.06))), v, turn)
                )
        for slot in range(4):
            v = start + (slot + 0.5) * CHUNK_M / 4 + float(rng.uniform(-1.5, 1.5))
            if rng.random() < style.trees:
                away = (
                    0.7
                    if style.urban
                    else style.pavement_m + float(rng.uniform(0.4, max(0.5, style.garden_m - 1)))
                )
                tree = self._trees[int(rng.integers(len(self._trees)))]
                found.append(self._stand("tree", tree, side * (kerb + away), v, 0.0))
        if rng.random() < 0.8:
            v = start + float(rng.uniform(2, CHUNK_M - 2))
            found.append(self._stand("pole", self._lamp, side * (kerb + 0.45), v, 0.0 if side > 0 else np.pi))
        for _ in range(int(rng.integers(0, 3))):
            v = start + float(rng.uniform(1, CHUNK_M - 1))
            board = self._signs[int(rng.integers(len(self._signs)))]
            found.append(self._stand("sign", board, side * (kerb + 0.5), v, 0.0))
        for _ in range(int(rng.poisson(3 * style.people))):
            u = side * (kerb + float(rng.uniform(0.6, style.pavement_m)))
            walker = self._people[int(rng.integers(len(self._people)))]
            found.append(self._stand("person", walker, u, start + float(rng.uniform(0, CHUNK_M)), 0.0))
        if not style.urban:
            v = start
            while v < end - 1:
                long = float(min(rng.uniform(5, 11), end - v))
                choice = rng.random()
                if choice < 0.75:
                    texture, label = (self._hedge, VEGETATION) if choice < 0.45 else (self._fence, FENCE)
                    tall = float(rng.uniform(0.8, 1.6))
                    found.append(
                        self._strip(
                            texture, label, side * (kerb + style.pavement_m + 0.15), v, v + long, tall
                        )
                    )
                v += long + float(rng.uniform(0, 3))
        return found

    def _strip(self, texture: Texture, label: int, u: float, v0: float, v1: float, tall: float) -> Instance:
        """Stand a hedge or a fence along the street."""
        faces = self._upright(texture, label, u, v0, v1, tall, 4.0)
        if texture is self._hedge:  # its near end has a thickness
            x, z, deep = u + float(self.bend(v0)), v0, 0.7 * np.sign(u)
            ends = [(x, tall, z), (x + deep, tall, z), (x + deep, 0.0, z), (x, 0.0, z)]
            faces.append(outline(ends if u > 0 else [ends[1], ends[0], ends[3], ends[2]], texture, label))
        foot = np.array(((u, v0), (u, v1)))
        mesh = Mesh.of(faces).lit(self.style.light)
        return Instance("hedge", mesh, u, (v0 + v1) / 2, v1, self._cast(foot, "hedge", tall))

    def _upright(
        self, texture: Texture, label: int, u: float, v0: float, v1: float, tall: float, slice_m: float
    ) -> list[Face]:
        """Stand a texture along the street facing the road, in slices so that each has its own sharpness."""
        ends = np.array((v1, v0) if u > 0 else (v0, v1))  # left and right as seen from the road
        base = np.stack((u + self.bend(ends), np.zeros(2), ends), axis=1)
        frame = np.stack((base[0] + (0.0, tall, 0.0), base[1] - base[0], np.array((0, -tall, 0.0))))
        count = max(1, round((v1 - v0) / slice_m))
        lift = np.array((0.0, tall, 0.0))
        faces = []
        for index in range(count):
            a, b = base[0] + frame[1] * (index / count), base[0] + frame[1] * ((index + 1) / count)
            points = np.stack((a + lift, b + lift, b, a))
            faces.append(Face(points, frame, texture, label, None, label == FENCE))
        return faces

    def _building(self, facade: Facade, side: int, front: float, v0: float) -> Instance:
        """Stand a building on one side with its front, its near end wall and its roof."""
        v1, tall, deep = v0 + facade.width_m, facade.height_m, 8.0
        u = side * front
        faces = self._upright(facade.front, BUILDING, u, v0, v1, tall, 5.0)
        x0, x1 = u + float(self.bend(v0)), u + float(self.bend(v1))
        inner, outer = (x0, x0 + deep) if side > 0 else (x0 - deep, x0)
        faces.append(outline([(inner, tall, v0), (outer, tall, v0), (outer, 0, v0), (inner, 0, v0)],
                             facade.wall, BUILDING))  # fmt: skip
        if facade.roof is not None:
            rise, ridge, eave = 2.9, side * deep / 2, side * -0.35
            gable = quad((inner, tall + rise, v0), (deep, 0, 0), (0, -rise, 0), facade.gable, BUILDING)
            triangle = np.array(
                (((inner + outer) / 2, tall + rise, v0), (outer, tall, v0), (inner, tall, v0))
            )
            faces.append(replace(gable, points=triangle))
            slope = [(x0 + ridge, tall + rise, v0 - 0.25), (x1 + ridge, tall + rise, v1 + 0.1),
                     (x1 + eave, tall - 0.25, v1 + 0.1), (x0 + eave, tall - 0.25, v0 - 0.25)]  # fmt: skip
            faces.append(outline(slope if side < 0 else [slope[1], slope[0], slope[3], slope[2]],
                                 facade.roof, BUILDING))  # fmt: skip
        foot = np.array(((u, v0), (u, v1), (u + side * deep, v1), (u + side * deep, v0)))
        mesh = Mesh.of(faces).lit(self.style.light)
        return Instance("building", mesh, u, (v0 + v1) / 2, v1, self._cast(foot, "building", tall))
