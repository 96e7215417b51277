"""Where each pixel of the present picture was in the previous one: dense flow in both directions.

Both pictures are reconstructions, so the motion costs no bits. OpenCV's DIS flow (Kroeger et al., *Fast Optical
Flow using Dense Inverse Search*, ECCV 2016) is used because it needs no weights and gives the same numbers for
the same pictures, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.types import RgbImage

Plane = NDArray[np.float32]

_FINE_UNTIL_ROWS = 256
"""Pictures of fewer rows are searched to the last pixel; larger ones to every second, which is four times faster."""
_SLACK_PX = 0.7
_SLACK_SHARE = 0.03


class Motion(NamedTuple):
    """Motion of every pixel of a picture to another one.

    flow: (H, W, 2) float32, pixels (x, y) to add to a position to find it in the other picture.
    trust: (H, W) float32 in [0, 1]: agreement of both directions; 0 where the position is out of the other picture.
    """

    flow: Plane
    trust: Plane


def estimate(present: RgbImage, previous: RgbImage) -> tuple[Motion, Motion]:
    """Return the motion from the present (H, W, 3) uint8 picture back to the previous one, and the other way.

    Both are computed independently; where following one and then the other does not lead back to the start, the
    position was hidden in one of the pictures or the match is wrong (the usual left-right check, in time).
    """
    now, then = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (present, previous))
    search: Any = cv2.DISOpticalFlow.create(
        cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    )  # the stubs want a flow to start from
    search.setFinestScale(0 if now.shape[0] < _FINE_UNTIL_ROWS else 1)
    back = np.asarray(search.calc(now, then, None), np.float32)
    forth = np.asarray(search.calc(then, now, None), np.float32)
    return _checked(back, forth), _checked(forth, back)


def inside(flow: Plane) -> NDArray[np.bool_]:
    """Tell (H, W) where a flow leads to a place within the picture."""
    height, width = flow.shape[:2]
    x, y = _positions(flow)
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def _checked(flow: Plane, return_flow: Plane) -> Motion:
    off = flow + follow(return_flow, flow)
    gap = cv2.magnitude(off[..., 0], off[..., 1])
    slack = _SLACK_PX + _SLACK_SHARE * cv2.magnitude(flow[..., 0], flow[..., 1])
    return Motion(flow, np.asarray(np.exp(-((gap / slack) ** 2)) * inside(flow), np.float32))


def follow(values: NDArray[Any], flow: Plane, interpolation: int = cv2.INTER_LINEAR) -> Plane:
    """Return `values` (H, W) or (H, W, C) of the previous picture at the positions `flow` leads to, float32."""
    x, y = _positions(flow)
    moved = cv2.remap(values, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def follow_picture(picture: RgbImage, flow: Plane) -> Plane:
    """Return a previous (H, W, 3) uint8 picture as it looks now, float32.

    Bicubic, since a picture is moved again with every frame and must not blur on the way; clipped to what lies
    around each position, so that no overshoot grows from frame to frame.
    """
    around = np.ones((3, 3), np.uint8)
    low = follow(cv2.erode(picture, around), flow, cv2.INTER_NEAREST)
    high = follow(cv2.dilate(picture, around), flow, cv2.INTER_NEAREST)
    return np.clip(follow(picture, flow, cv2.INTER_CUBIC), low, high)


def _positions(flow: Plane) -> tuple[Plane, Plane]:
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.ascontiguousarray(x), np.ascontiguousarray(y)
