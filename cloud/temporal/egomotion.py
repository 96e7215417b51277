"""The camera's own motion, from flow and disparity: how the static scene moves from one frame to the next.

Where a place is painted now there is nothing to match, yet the previous frame knows how far away it was. With a
rectified rig a rigid motion takes (x, y, 1, d) of one frame to pixels of the next by one 3x4 matrix, whatever the
calibration (disparity space is projective; Demirdjian and Darrell, *Motion estimation from disparity images*, ICCV
2001). Eleven numbers from thousands of matches: robust, and it reaches where no match is.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion import Plane

Matrix = NDArray[np.float64]

_MATCHES = 2500
_ROUNDS = 12
_MIN_MATCHES = 200
_RIDGE = 1e-8


class Rigid(NamedTuple):
    """A rigid motion.

    matrix: (3, 4), from (x, y, 1, d) in units of the picture's width to homogeneous (x', y', w'); [2, 2] is 1.
    inliers: share of the matches that it explains within 2 % of their motion or a pixel.
    """

    matrix: Matrix
    inliers: float


class Carried(NamedTuple):
    """What a known frame says of the next, by the camera's motion alone.

    found: (H, W) bool, where it says anything.
    flow: (H, W, 2) float32 pixels, from the next frame back.
    disparity: (H, W) float32 pixels, in the next frame.
    """

    found: NDArray[np.bool_]
    flow: Plane
    disparity: Plane


def fit(flow: Plane, disparity: Plane, usable: NDArray[np.bool_]) -> Rigid | None:
    """Fit the motion to a flow from a frame to the next.

    Weighted least squares on the projection equations, reweighted by the Cauchy function of the residual in
    pixels, so that vehicles on ways of their own lose their say; a slight pull to "no motion" settles what the
    matches leave open.

    Args:
        flow: (H, W, 2) float32 pixels.
        disparity: (H, W) float32 pixels, of the frame the flow starts from.
        usable: (H, W) bool, where both can be trusted.

    Returns:
        None when too few places are usable.
    """
    rows, columns = np.nonzero(usable)
    if len(rows) < _MIN_MATCHES:
        return None
    pick = slice(None, None, max(1, len(rows) // _MATCHES))
    rows, columns = rows[pick], columns[pick]
    unit = float(flow.shape[1])
    moves = flow[rows, columns].astype(np.float64)
    start = np.stack([columns, rows, np.full(len(rows), unit), disparity[rows, columns]], 1) / unit
    end = start[:, :2] + moves / unit
    # Unknowns: the deviation from "no motion", rows of (x', y', w') without [2, 2], which is fixed.
    design = np.zeros((2, len(rows), 11))
    for axis in range(2):
        design[axis, :, 4 * axis : 4 * axis + 4] = start
        design[axis, :, 8:10] = -end[:, axis, None] * start[:, :2]
        design[axis, :, 10] = -end[:, axis] * start[:, 3]
    wanted = (end - start[:, :2]).T
    matrix, weights = np.eye(3, 4), np.ones(len(rows))
    scale = 1.0 + 0.02 * np.linalg.norm(moves, axis=1)
    distance = scale
    for turn in range(_ROUNDS):
        a = (design * weights[None, :, None]).reshape(-1, 11)
        b = (wanted * weights).reshape(-1)
        square = np.einsum("ni,nj->ij", a, a) + _RIDGE * len(rows) * np.eye(11)
        solution = np.linalg.solve(square, np.einsum("ni,n->i", a, b))
        change = np.concatenate([solution[:10], [0.0], solution[10:]]).reshape(3, 4)
        matrix = np.eye(3, 4) + change
        predicted = start @ matrix.T
        depth = np.maximum(predicted[:, 2], 0.05)
        distance = np.linalg.norm(predicted[:, :2] / depth[:, None] - end, axis=1) * unit
        loose = max(1.0, 8.0 / (turn + 1))
        weights = 1 / (depth * np.sqrt(1 + (distance / (loose * scale)) ** 2))
    return Rigid(matrix, float((distance < scale).mean()))


def move(motion: Rigid, x: Plane, y: Plane, disparity: Plane, width: int) -> tuple[Plane, Plane, Plane]:
    """Return pixels (x', y') and disparity in the next frame of (N,) pixels of a frame `width` columns wide.

    The homogeneous coordinate is the factor by which depth grows, so disparity falls by it.
    """
    start = np.stack([x, y, np.full(x.shape, float(width)), disparity], 1) / width
    end = start @ motion.matrix.T
    depth = np.maximum(end[:, 2:], 0.05)
    landed = (end[:, :2] / depth * width).astype(np.float32)
    return landed[:, 0], landed[:, 1], np.asarray(disparity / depth[:, 0], np.float32)


def carry(motion: Rigid, disparity: Plane, known: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> Carried:
    """Say where the static scene of a frame reappears in the next, and how near it is there.

    Every known pixel is moved, four samples a pixel so that growing surfaces stay closed; of those that land on
    one pixel the nearest to the camera counts.

    Args:
        motion: from the previous frame to the present one.
        disparity: (H, W) of the previous frame.
        known: (H, W) bool, where that is trusted.
        wanted: (H, W) bool, pixels of the present frame asked for.

    """
    height, width = disparity.shape
    rows, columns = _heading_for(motion, disparity, known, wanted)
    flow = np.zeros((height, width, 2), np.float32)
    found, distance = np.zeros((height, width), bool), np.zeros((height, width), np.float32)
    parts = []
    for dy in (-0.25, 0.25):
        for dx in (-0.25, 0.25):
            x, y = columns.astype(np.float32) + np.float32(dx), rows.astype(np.float32) + np.float32(dy)
            near = disparity[rows, columns]
            to_x, to_y, now = move(motion, x, y, near, width)
            at_x, at_y = np.rint(to_x), np.rint(to_y)
            lands = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
            at_x, at_y = at_x[lands].astype(np.int64), at_y[lands].astype(np.int64)
            asked = wanted[at_y, at_x]
            kept = np.flatnonzero(lands)[asked]
            parts.append((at_y[asked], at_x[asked], now[kept], x[kept] - to_x[kept], y[kept] - to_y[kept]))
    at_y, at_x, near, back_x, back_y = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(near, kind="stable")  # the nearest is written last
    flow[at_y[order], at_x[order], 0] = back_x[order]
    flow[at_y[order], at_x[order], 1] = back_y[order]
    distance[at_y[order], at_x[order]] = near[order]
    found[at_y, at_x] = True
    return Carried(found, flow, distance)


def _heading_for(
    motion: Rigid, disparity: Plane, known: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the known pixels that land on a wanted one or beside it: mostly few of them."""
    rows, columns = np.nonzero(known)
    height, width = disparity.shape
    to_x, to_y, _ = move(
        motion, columns.astype(np.float32), rows.astype(np.float32), disparity[rows, columns], width
    )
    near = cv2.dilate(wanted.astype(np.uint8), np.ones((5, 5), np.uint8))
    at_x, at_y = (
        np.clip(np.rint(to), 0, size - 1).astype(np.int64) for to, size in ((to_x, width), (to_y, height))
    )
    heading = near[at_y, at_x] > 0
    return rows[heading], columns[heading]
