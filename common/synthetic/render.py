"""Draw a street as a stereo rig sees it: sky, ground, then everything else from far to near.

Both views look at the same faces through the same textures at the same sharpness, so a point of the world has
the same colour in both. The disparity is exact: a plane's inverse depth is linear in the pixel coordinates.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.synthetic.geometry import Array, Pose, Rig
from common.synthetic.labels import ROAD, SIDEWALK, SKY, TERRAIN, VEGETATION
from common.synthetic.polygons import PolygonPainter, View
from common.synthetic.scene import Instance, Street
from common.synthetic.textures import ROAD_LENGTH_M, Float, Image, Texture

_KERB_M = 0.12
_SHADOW_PX_PER_M = 8
_SHADOW_HALF_M = 16.0
_SHADOW_LENGTH_M = 128.0


class Renderer:
    """Draw frames of one street with one rig."""

    def __init__(self, street: Street, rig: Rig) -> None:
        self.street, self.rig = street, rig
        self._polygons = PolygonPainter(rig)
        h, w, f, cx, cy = rig.height, rig.width, rig.focal_px, rig.centre_x, rig.centre_y
        self._ray_x = ((np.arange(w) - cx) / f).astype(np.float32)[None, :]
        self._ray_y = ((np.arange(h) - cy) / f).astype(np.float32)[:, None]

    def draw(self, pose: Pose, instances: list[Instance], stereo: bool = True) -> list[View]:
        """Draw the main view and, for a stereo rig, the side view; instances come farthest first."""
        shape = (self.rig.height, self.rig.width)
        views = []
        for offset in (0.0, self.rig.baseline_m) if stereo else (0.0,):
            view = View(
                offset,
                np.empty((*shape, 3), np.uint8),
                np.zeros(shape, np.float32),
                np.full(shape, SKY, np.uint8),
                np.full(shape, -1, np.int16),
            )
            views.append(view)
        shadow, shadow_start = self._shadow_map(pose, instances)
        for view in views:
            self._sky(view, pose)
            self._ground(view, pose, shadow, shadow_start)
        self._polygons.paint(views, pose, [instance.mesh for instance in instances])
        return views

    def _sky(self, view: View, pose: Pose) -> None:
        """Look up the far world by direction: no disparity."""
        picture, trees = self.street.sky, self.street.sky_trees
        yaw = float(np.arctan2(pose.axes[2, 0], pose.axes[2, 2]))
        pitch = float(np.arcsin(pose.axes[2, 1]))
        azimuth = np.arctan(self._ray_x) + yaw
        elevation = np.arctan(-self._ray_y * np.cos(np.arctan(self._ray_x))) + pitch
        columns = np.broadcast_to((azimuth / np.pi + 0.5) * picture.shape[1] - 0.5, elevation.shape)
        rows = (45 - np.degrees(elevation)) / 48 * picture.shape[0] - 0.5
        map_x, map_y = np.ascontiguousarray(columns, np.float32), np.ascontiguousarray(rows, np.float32)
        view.image[:] = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.remap(
            trees.astype(np.uint8), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        view.labels[mask > 0] = VEGETATION

    def _ground(self, view: View, pose: Pose, shadow: Image, shadow_start: float) -> None:
        """Cast a ray through every pixel under the horizon: road, kerb, pavement and what lies behind."""
        street, style, rig = self.street, self.street.style, self.rig
        cos_pitch, sin_pitch = -float(pose.axes[1, 1]), float(pose.axes[2, 1])
        fall = self._ray_y[:, 0] * cos_pitch - sin_pitch  # metres down per metre forward
        top = int(np.argmax(fall > 0.0015)) if fall[-1] > 0.0015 else rig.height
        if top >= rig.height:
            return
        fall = fall[top:, None]
        ray_y = self._ray_y[top:]
        eye = pose.eye + pose.axes[0] * view.offset_m
        turn_x = (self._ray_x * pose.axes[0, 0] + (ray_y * pose.axes[1, 0] + pose.axes[2, 0])).astype(
            np.float32
        )
        turn_z = (self._ray_x * pose.axes[0, 2] + (ray_y * pose.axes[1, 2] + pose.axes[2, 2])).astype(
            np.float32
        )

        def strike(height: float) -> tuple[Float, Float, Float]:
            depth = (height / fall).astype(np.float32)
            v = turn_z * depth + np.float32(eye[2])
            u = turn_x * depth + np.float32(eye[0]) - self._bend(v)
            return u, v, depth

        kerb = np.float32(style.half_road_m)
        road_u, road_v, road_depth = strike(eye[1])
        walk_u, walk_v, walk_depth = strike(eye[1] - _KERB_M)
        along = road_depth[:, 0] ** 2 / (rig.focal_px * eye[1])
        road_size, verge_size = street.road.image.shape, street.verge.image.shape
        picture = self._lookup(
            street.road,
            (road_u + kerb) * (road_size[1] / (2 * kerb)),
            road_v,
            road_depth,
            along,
            2 * float(kerb) / road_size[1],
        )
        outward = np.abs(walk_u) - kerb
        shifted = np.where(walk_u < 0, walk_v + np.float32(17.3), walk_v)
        beside = self._lookup(
            street.verge,
            outward * (verge_size[1] / street.verge_width_m),
            shifted,
            walk_depth,
            along,
            street.verge_width_m / verge_size[1],
        )
        on_walk = outward >= 0
        on_kerb = ~on_walk & (np.abs(road_u) > kerb)
        # The kerb's face lies between the two planes: find the share of the way at which the ray meets it.
        way = np.clip(-outward / np.maximum(np.abs(road_u) - np.abs(walk_u), 1e-4), 0, 1)
        depth = np.where(
            on_walk, walk_depth, np.where(on_kerb, walk_depth + way * (road_depth - walk_depth), road_depth)
        )
        stone = np.float32(118.0 * style.light.ambient)
        picture = np.where(on_kerb[..., None], stone, picture)
        footprint = np.maximum(walk_depth / rig.focal_px, 1e-4)
        weight = np.clip(outward / footprint + 0.5, 0, 1)[..., None]
        picture = picture * (1 - weight) + beside * weight
        u, v = np.where(on_walk, walk_u, road_u), np.where(on_walk, walk_v, road_v)
        map_x = (u + _SHADOW_HALF_M) * _SHADOW_PX_PER_M - 0.5
        map_y = (v - shadow_start) * _SHADOW_PX_PER_M - 0.5
        dark = cv2.remap(
            shadow,
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=255,
        )
        picture = picture * (dark.astype(np.float32) / 255)[..., None]
        view.image[top:] = np.clip(picture, 0, 255).astype(np.uint8)
        view.disparity[top:] = rig.focal_px * rig.baseline_m / depth
        beyond = outward > style.pavement_m
        labels = np.where(on_walk | on_kerb, SIDEWALK, ROAD).astype(np.uint8)
        if not style.urban:
            labels[beyond] = TERRAIN
        view.labels[top:] = labels

    def _bend(self, v: Float) -> Float:
        s = self.street.style
        wave = v * np.float32(2 * np.pi / s.bend_length_m) + np.float32(s.bend_phase)
        return np.asarray(np.float32(s.bend_m) * np.sin(wave), np.float32)

    def _lookup(
        self, texture: Texture, columns: Float, v: Float, depth: Float, along: Array, texel_m: float
    ) -> Float:
        """Sample a ground texture, each row between the two sharpnesses that fit its distance."""
        height, width = texture.image.shape[:2]
        ahead = np.log2(np.maximum(along * height / ROAD_LENGTH_M, 1e-6))
        ahead = np.clip(ahead, 0.0, 8.0)
        aside = np.log2(np.maximum(depth[:, 0] / self.rig.focal_px / texel_m, 1e-6))
        out = np.zeros((*columns.shape, 3), np.float32)
        rows_m = np.mod(v, ROAD_LENGTH_M) * (height / ROAD_LENGTH_M)
        light = self.street.style.light
        gain = float(light.shade(np.array((0.0, 1.0, 0.0))))
        for level in range(int(ahead.min()), int(np.ceil(ahead.max())) + 1):
            weight = np.clip(1 - np.abs(ahead - level), 0, 1)
            (rows,) = np.nonzero(weight > 0)
            if not len(rows):
                continue
            first, last = int(rows[0]), int(rows[-1]) + 1
            across = int(np.clip(round(float(aside[int(np.argmax(weight))])), 0, 8))
            picture = texture.level(level, across)
            scale_y, scale_x = picture.shape[0] / height, picture.shape[1] / width
            map_x = np.clip(columns[first:last] * scale_x - 0.5, 0, picture.shape[1] - 1).astype(np.float32)
            map_y = (rows_m[first:last] * scale_y - 0.5).astype(np.float32)
            sample = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            out[first:last] += sample * (gain * weight[first:last, None, None]).astype(np.float32)
        return out

    def _shadow_map(self, pose: Pose, instances: list[Instance]) -> tuple[Image, float]:
        """Draw all shadows from above: (rows along v, columns along u) gains of 255, and the v of row 0."""
        start = float(np.floor((pose.eye[2] - 4) / 4) * 4)
        shape = (int(_SHADOW_LENGTH_M * _SHADOW_PX_PER_M), int(2 * _SHADOW_HALF_M * _SHADOW_PX_PER_M))
        canvas = np.full(shape, 255, np.uint8)
        light = self.street.style.light
        sunless = int(255 * light.ambient / float(light.shade(np.array((0.0, 1.0, 0.0)))))
        shift = np.array((_SHADOW_HALF_M, -start))
        for instance in instances:
            if instance.shadow is not None:
                hull = cv2.convexHull(((instance.shadow + shift) * _SHADOW_PX_PER_M * 16).astype(np.int32))
                cv2.fillConvexPoly(canvas, hull, sunless, cv2.LINE_AA, 4)
        under = np.full(shape, 255, np.uint8)
        for instance in instances:
            if instance.contact is not None:
                patch = ((instance.contact + shift) * _SHADOW_PX_PER_M * 16).astype(np.int32)
                cv2.fillConvexPoly(under, patch, 70, cv2.LINE_AA, 4)
        soft, contact = cv2.GaussianBlur(canvas, (3, 3), 0), cv2.GaussianBlur(under, (0, 0), 2.2)
        gains: Image = np.asarray(cv2.multiply(soft, contact, scale=1 / 255), np.uint8)
        return gains, start
