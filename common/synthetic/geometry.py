"""Place textured polygons in the world and look at them with a stereo rig.

World axes in metres: X to the right of the street, Y up, Z along the street.
Camera axes: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.synthetic.textures import Texture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Face:
    """Hold one flat textured polygon.

    Attributes:
        points: (3|4, 3) convex outline in metres.
        frame: (3, 3) rows: texture corner (0, 0), the vector of its full width, of its full height.
        texture: What is painted on it.
        label: Cityscapes train id.
        shade: Gain of its brightness, or None where the light on its normal decides.
        both_sides: Whether it is seen from behind, too.
    """

    points: Array
    frame: Array
    texture: Texture
    label: int
    shade: float | None = None
    both_sides: bool = False

    def normal(self) -> Array:
        """Return the unit vector towards the side that the texture is seen from."""
        facing: Array = np.cross(self.frame[1], self.frame[2])
        return facing / max(float(np.linalg.norm(facing)), 1e-12)


def quad(
    corner: tuple[float, float, float],
    across: tuple[float, float, float],
    down: tuple[float, float, float],
    texture: Texture,
    label: int,
    shade: float | None = None,
    both_sides: bool = False,
) -> Face:
    """Make a parallelogram from its top left corner and the vectors along its top and down its left side."""
    o, e, d = np.array(corner, float), np.array(across, float), np.array(down, float)
    return Face(
        np.stack((o, o + e, o + e + d, o + d)), np.stack((o, e, d)), texture, label, shade, both_sides
    )


def outline(points: list[tuple[float, float, float]], texture: Texture, label: int) -> Face:
    """Make a flat polygon whose texture spans its bounding parallelogram.

    The first edge gives the texture's left to right along the top, the outline runs clockwise as seen.
    """
    p = np.array(points, float)
    across = p[1] - p[0]
    across /= np.linalg.norm(across)
    facing = np.cross(p[1] - p[0], p[2] - p[0])
    down = np.cross(facing, across)
    down /= np.linalg.norm(down)
    u, v = (p - p[0]) @ across, (p - p[0]) @ down
    corner = p[0] + across * u.min() + down * v.min()
    return Face(p, np.stack((corner, across * np.ptp(u), down * np.ptp(v))), texture, label)


@dataclass(frozen=True)
class Light:
    """Hold the light of a street: direction to the sun (3,), shares of sky and sun, (R, G, B) gains."""

    sun: Array
    ambient: float
    direct: float
    colour: tuple[float, float, float]

    def shade(self, normals: Array) -> Array:
        """Return the brightness of surfaces by their normals (..., 3)."""
        return self.ambient * (0.85 + 0.15 * normals[..., 1]) + self.direct * np.maximum(
            0.0, normals @ self.sun
        )


@dataclass(frozen=True, eq=False)
class Mesh:
    """Hold the faces of one object as arrays, so that many are moved and looked at in one step.

    Attributes:
        points: (F, 4, 3) outlines; a triangle repeats its last point.
        frames: (F, 3, 3) as in `Face.frame`.
        normals: (F, 3) unit vectors.
        shades: (F,) gains, NaN where the light decides.
        both_sides: (F,) whether a face is seen from behind, too.
        labels: Cityscapes train id of each face.
        textures: Texture of each face.
    """

    points: Array
    frames: Array
    normals: Array
    shades: Array
    both_sides: NDArray[np.bool_]
    labels: list[int]
    textures: list[Texture]

    @staticmethod
    def of(faces: list[Face]) -> Mesh:
        """Gather faces of three or four corners."""
        points = np.stack([f.points if len(f.points) == 4 else f.points[[0, 1, 2, 2]] for f in faces])
        shades = np.array([np.nan if f.shade is None else f.shade for f in faces])
        both = np.array([f.both_sides for f in faces])
        normals = np.stack([f.normal() for f in faces])
        frames = np.stack([f.frame for f in faces])
        return Mesh(
            points, frames, normals, shades, both, [f.label for f in faces], [f.texture for f in faces]
        )

    def lit(self, light: Light) -> Mesh:
        """Return the mesh with the shades that the light gives it."""
        shades = np.where(np.isnan(self.shades), light.shade(self.normals), self.shades)
        return replace(self, shades=shades)

    def placed(self, x_m: float, z_m: float, heading_rad: float) -> Mesh:
        """Return the mesh turned by a heading (0 looks along +Z, positive turns to +X) and moved."""
        cos, sin = float(np.cos(heading_rad)), float(np.sin(heading_rad))
        turn = np.array(((cos, 0.0, -sin), (0.0, 1.0, 0.0), (sin, 0.0, cos)))
        shift = np.array((x_m, 0.0, z_m))
        frames = self.frames @ turn
        frames[:, 0] += shift
        return replace(self, points=self.points @ turn + shift, frames=frames, normals=self.normals @ turn)


@dataclass(frozen=True)
class Model:
    """Hold the mesh of an object and its size in metres (for its shadow)."""

    mesh: Mesh
    width_m: float
    length_m: float
    height_m: float


@dataclass(frozen=True)
class Pose:
    """Hold where the main camera is (3,) and how it is turned (rows: right, down, forward in the world)."""

    eye: Array
    axes: Array

    @staticmethod
    def of(x_m: float, y_m: float, z_m: float, yaw_rad: float, pitch_rad: float) -> Pose:
        """Make a pose without roll; yaw turns to +X, pitch turns up."""
        sy, cy, sp, cp = np.sin(yaw_rad), np.cos(yaw_rad), np.sin(pitch_rad), np.cos(pitch_rad)
        right = np.array((cy, 0.0, -sy))
        down = np.array((sp * sy, -cp, sp * cy))
        forward = np.array((sy * cp, sp, cy * cp))
        return Pose(np.array((x_m, y_m, z_m)), np.stack((right, down, forward)))


@dataclass(frozen=True)
class Rig:
    """Hold the geometry of a rectified stereo pair: the side camera `baseline_m` to the right of main.

    A point at depth z appears in the side view `disparity = focal_px * baseline_m / z` pixels further left.
    """

    height: int
    width: int
    focal_px: float
    centre_x: float
    centre_y: float
    baseline_m: float = 0.54

    @staticmethod
    def kitti_like(height: int, width: int) -> Rig:
        """Make a rig with KITTI's field of view across the width and the horizon at 45 % of the height."""
        return Rig(height, width, 0.58 * width, (width - 1) / 2, 0.45 * (height - 1))

    @property
    def intrinsics(self) -> Array:
        """Return the (3, 3) camera matrix."""
        f = self.focal_px
        return np.array(((f, 0.0, self.centre_x), (0.0, f, self.centre_y), (0.0, 0.0, 1.0)))


def clip(points: Array, planes: Array) -> Array:
    """Cut a convex polygon (N, 3) to the half spaces `planes` (M, 4): a x + b y + c z + d >= 0.

    Returns:
        The remaining polygon, (0, 3) where nothing remains.
    """
    for plane in planes:
        if len(points) < 3:
            return np.zeros((0, 3))
        distance = points @ plane[:3] + plane[3]
        if (distance >= 0).all():
            continue
        kept: list[Array] = []
        for index in range(len(points)):
            before, after = distance[index - 1], distance[index]
            if (before >= 0) != (after >= 0):
                kept.append(
                    points[index - 1] + (points[index] - points[index - 1]) * (before / (before - after))
                )
            if after >= 0:
                kept.append(points[index])
        points = np.array(kept).reshape(-1, 3)
    return points
