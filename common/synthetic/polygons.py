"""Paint textured polygons into the views of a stereo rig, from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.synthetic.geometry import Array, Mesh, Pose, Rig, clip
from common.synthetic.textures import Float, Image, Texture

_NEAR_M = 0.4
_MARGIN_PX = 4.0
_MIN_AREA_PX = 1.5


@dataclass
class View:
    """Hold one camera's picture while it is drawn.

    Attributes:
        offset_m: How far right of the main camera it sits.
        image: (H, W, 3) uint8 RGB before haze, exposure and noise.
        disparity: (H, W) float32 pixels between the two cameras, aligned with this view.
        labels: (H, W) uint8 Cityscapes train ids.
        owners: (H, W) int16 number of the instance seen, -1 for sky and ground.
    """

    offset_m: float
    image: Image
    disparity: Float
    labels: NDArray[np.uint8]
    owners: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Hold the faces that look at the rig, in painting order, in the axes of the main camera."""

    points: Array
    frames: Array
    owners: NDArray[np.int_]
    shades: list[float]
    labels: list[int]
    textures: list[Texture]


@dataclass(frozen=True, eq=False)
class _Projection:
    """Hold where faces fall in one view: corners in pixels, their box, maps from pixels to texture shares."""

    pixels: Array
    box: NDArray[np.int_]
    to_texture: NDArray[np.floating]
    inside: NDArray[np.bool_]


class PolygonPainter:
    """Paint meshes with one rig."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        h, w, f, cx, cy = rig.height, rig.width, rig.focal_px, rig.centre_x, rig.centre_y
        self._planes = np.array(
            (
                (0, 0, 1, -_NEAR_M),
                (f, 0, cx + _MARGIN_PX, 0),
                (-f, 0, w - 1 - cx + _MARGIN_PX, 0),
                (0, f, cy + _MARGIN_PX, 0),
                (0, -f, h - 1 - cy + _MARGIN_PX, 0),
            ),
            float,
        )

    def paint(self, views: list[View], pose: Pose, meshes: list[Mesh]) -> None:
        """Paint all faces that look at the rig: mesh by mesh as listed, within a mesh from far to near."""
        if not meshes:
            return
        seen = self._select(pose, meshes)
        if not seen.labels:
            return
        projections = [self._project(seen, view.offset_m) for view in views]
        levels = _sharpness(projections[0], seen.textures)
        for index in range(len(seen.labels)):
            for view, projection in zip(views, projections, strict=True):
                self._paint_one(view, projection, seen, index, levels[index])

    def _select(self, pose: Pose, meshes: list[Mesh]) -> _Seen:
        owners = np.repeat(np.arange(len(meshes)), [len(mesh.labels) for mesh in meshes])
        points = np.concatenate([mesh.points for mesh in meshes]) - pose.eye
        normals = np.concatenate([mesh.normals for mesh in meshes])
        keep = np.concatenate([mesh.both_sides for mesh in meshes])
        # Both cameras must agree on which faces they may see: only faces turned from both are left out.
        side = points[:, 0] - pose.axes[0] * self.rig.baseline_m
        keep |= (np.einsum("fi,fi->f", points[:, 0], normals) < 0) | (
            np.einsum("fi,fi->f", side, normals) < 0
        )
        distance = np.abs(points).sum(axis=2).mean(axis=1)
        points = points @ pose.axes.T
        depth, across = points[..., 2], points[..., 0] * self.rig.focal_px
        half = depth * (self.rig.width / 2 + _MARGIN_PX)
        keep &= depth.max(axis=1) > _NEAR_M
        keep &= ~(
            (across - self.rig.focal_px * self.rig.baseline_m > half).all(axis=1)
            | (across < -half).all(axis=1)
        )
        order = np.lexsort((-distance, owners))
        order = order[keep[order]]
        frames = np.concatenate([mesh.frames for mesh in meshes])[order]
        frames[:, 0] -= pose.eye
        shades = np.concatenate([mesh.shades for mesh in meshes])[order]
        labels = [label for mesh in meshes for label in mesh.labels]
        textures = [texture for mesh in meshes for texture in mesh.textures]
        return _Seen(
            points[order],
            frames @ pose.axes.T,
            owners[order],
            [float(s) for s in shades],
            [labels[i] for i in order],
            [textures[i] for i in order],
        )

    def _project(self, seen: _Seen, offset_m: float) -> _Projection:
        rig = self.rig
        shift = np.array((offset_m, 0.0, 0.0))
        points = seen.points - shift
        signed = points @ self._planes[:, :3].T + self._planes[:, 3]
        inside = (signed >= 0).all(axis=(1, 2))
        depth = np.maximum(points[..., 2:], _NEAR_M)
        pixels = points[..., :2] * (rig.focal_px / depth) + (rig.centre_x, rig.centre_y)
        limits = np.array(((-_MARGIN_PX, -_MARGIN_PX), (rig.width + _MARGIN_PX, rig.height + _MARGIN_PX)))
        pixels[~inside] = np.clip(pixels[~inside], *limits)
        for index in np.flatnonzero(~inside):
            cut = clip(points[index], self._planes)
            if len(cut) < 3:
                pixels[index] = -_MARGIN_PX
                continue
            flat = cut[:, :2] * (rig.focal_px / cut[:, 2:]) + (rig.centre_x, rig.centre_y)
            # Box and sharpness need the cut outline's extent; the outline itself is cut again when painted.
            low, high = flat.min(axis=0), flat.max(axis=0)
            pixels[index] = (low, (high[0], low[1]), high, (low[0], high[1]))
        low = np.clip(np.floor(pixels.min(axis=1)), 0, (rig.width, rig.height)).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=1)) + 1, 0, (rig.width, rig.height)).astype(int)
        frames = seen.frames.copy()
        frames[:, 0] -= shift
        to_image = rig.intrinsics @ frames[:, [1, 2, 0]].transpose(0, 2, 1)
        edge_on = np.abs(np.linalg.det(to_image)) < 1e-9
        to_image[edge_on] = np.eye(3)
        low[edge_on] = high[edge_on]
        extent = np.ptp(pixels, axis=1).prod(axis=1)
        low[extent < _MIN_AREA_PX] = high[extent < _MIN_AREA_PX]
        return _Projection(pixels, np.concatenate((low, high), axis=1), np.linalg.inv(to_image), inside)

    def _outline(self, view: View, projection: _Projection, seen: _Seen, index: int) -> Array:
        if projection.inside[index]:
            outline: Array = projection.pixels[index]
            return outline
        cut = clip(seen.points[index] - (view.offset_m, 0.0, 0.0), self._planes)
        flat: Array = cut[:, :2] * (self.rig.focal_px / cut[:, 2:]) + (self.rig.centre_x, self.rig.centre_y)
        return flat

    def _paint_one(
        self, view: View, projection: _Projection, seen: _Seen, index: int, level: tuple[int, int]
    ) -> None:
        """Paint one face into one view: picture, disparity and, in the main view, label and owner."""
        x0, y0, x1, y1 = projection.box[index].tolist()
        if x1 <= x0 or y1 <= y0:
            return
        outline = self._outline(view, projection, seen, index)
        size = (x1 - x0, y1 - y0)
        mask = np.zeros((size[1], size[0]), np.uint8)
        cv2.fillConvexPoly(mask, np.rint((outline - (x0, y0)) * 256).astype(np.int32), 255, cv2.LINE_AA, 8)
        texture = seen.textures[index]
        picture = texture.level(*level)
        local = projection.to_texture[index].copy()
        local[:, 2] += local[:, 0] * x0 + local[:, 1] * y0
        to_texel = local * ((picture.shape[1],), (picture.shape[0],), (1.0,))
        to_texel[:2] -= 0.5 * local[2]
        patch = cv2.warpPerspective(
            picture,
            to_texel,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if texture.alpha:
            mask = cv2.multiply(mask, cv2.extractChannel(patch, 3), scale=1 / 255)
            patch = cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB)
        shade = seen.shades[index]
        if abs(shade - 1) > 1e-3:
            patch = cv2.convertScaleAbs(patch, alpha=shade)
        weight = mask.astype(np.float32)
        area = view.image[y0:y1, x0:x1]
        area[:] = cv2.blendLinear(patch, np.ascontiguousarray(area), weight, 255 - weight)
        solid = mask > 127
        scale = self.rig.focal_px * self.rig.baseline_m
        along = (local[2, 0] * scale * np.arange(size[0])).astype(np.float32)
        down = (scale * (local[2, 1] * np.arange(size[1]) + local[2, 2])).astype(np.float32)
        np.copyto(view.disparity[y0:y1, x0:x1], along + down[:, None], where=solid)
        if view.offset_m == 0:
            np.copyto(view.labels[y0:y1, x0:x1], np.uint8(seen.labels[index]), where=solid)
            np.copyto(view.owners[y0:y1, x0:x1], np.int16(seen.owners[index]), where=solid)


def _sharpness(projection: _Projection, textures: list[Texture]) -> list[tuple[int, int]]:
    """Return how often to halve each texture in height and width, so that a pixel covers about one texel."""
    at = projection.pixels.mean(axis=1)
    maps = projection.to_texture
    u, v, w = np.moveaxis(maps @ np.concatenate((at, np.ones((len(at), 1))), axis=1)[..., None], 1, 0)[..., 0]
    w = np.where(np.abs(w) < 1e-9, 1e-9, w)
    du = (maps[:, 0, :2] * w[:, None] - u[:, None] * maps[:, 2, :2]) / (w * w)[:, None]
    dv = (maps[:, 1, :2] * w[:, None] - v[:, None] * maps[:, 2, :2]) / (w * w)[:, None]
    sizes = np.array([texture.image.shape[:2] for texture in textures])
    covered = np.maximum(np.stack((np.hypot(*dv.T), np.hypot(*du.T)), axis=1) * sizes, 1.0)
    levels = np.minimum(np.floor(np.log2(covered) + 0.4), 16).astype(int)
    return [(int(rows), int(columns)) for rows, columns in levels]
