"""Fuse a reconstruction with the one before: the rules, in plain arrays.

What the side view shows is sharp; what it cannot show is painted. A place that is painted now was often seen a moment
ago: the strip at the left border above all, since driving forward moves the picture outwards. There the past replaces
what was painted. Everywhere else the past steadies the *geometry*: disparity is averaged along the motion and the side
view is fetched anew. Averaging the pixels themselves takes flicker away too, and costs sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.types import RgbImage

from .egomotion import Carried, carry, fit
from .motion import Motion, Plane, estimate, follow, follow_picture, inside
from .steady import side_at, smooth_part, steady
from .visibility import hidden_places, visible


@dataclass(frozen=True)
class Rules:
    """How far the past is believed. Chosen on training and validation drives (docs/decisions/0006-temporal.md).

    Attributes:
        painted: largest weight of the past's detail where the picture is painted now and was seen before.
        geometry: weight of the past's disparity where the side view shows the place now and then.
        grey_levels: difference after tint correction at which the past is believed 1/e.
        fade: what is left per frame of the knowledge that a place was seen once.
        seen_from, seen_at: mask values from which a place begins to count as seen, and counts fully.
        inliers: share of matches the camera's motion must explain to be used.
        cut: mean reliability below which the pictures do not belong together.
    """

    painted: float = 0.85
    geometry: float = 0.7
    grey_levels: float = 20.0
    fade: float = 0.9
    seen_from: float = 0.2
    seen_at: float = 0.6
    inliers: float = 0.4
    cut: float = 0.15


class Past(NamedTuple):
    """What is kept of a frame.

    image: (H, W, 3) uint8 RGB, the fused picture.
    decoded: (H, W, 3) uint8 RGB, the picture as decoded alone: motion is matched on it, so that no error of the past
        bends the motion.
    seen: (H, W) float32 in [0, 1]: how far each pixel goes back to a side view, of now or of earlier.
    disparity: (H, W) float32 pixels, as decoded.
    known: (H, W) bool: where the disparity comes from a match with the side view of that very frame.
    """

    image: RgbImage
    decoded: RgbImage
    seen: Plane
    disparity: Plane
    known: NDArray[np.bool_]


class Fused(NamedTuple):
    """The result of a fusion.

    past: what to keep for the next frame; its image is the result.
    weight: (H, W) float32 in [0, 1): how much of each pixel's detail, or of its disparity, is the past's; all zero at
            a cut.
    cut: the pictures do not belong together; the image is the present one, untouched.
    """

    past: Past
    weight: Plane
    cut: bool


def remember(image: RgbImage, mask: Plane, disparity: Plane, rules: Rules) -> Past:
    """Return what to keep of a frame decoded alone."""
    seen = seen_now(mask, disparity, rules)
    return Past(image, image, seen, np.asarray(disparity, np.float32), seen > 0.7)


def seen_now(mask: NDArray[np.float32], disparity: NDArray[np.float32], rules: Rules) -> Plane:
    """Return (H, W) float32 in [0, 1]: how far the side view shows each pixel now.

    Both must agree: the decoder's mask (the paper's m_v) and the geometry of the two cameras. The mask is smoothed
    first, since it is decided per pixel and may carry a fine pattern.
    """
    smooth = cv2.blur(np.asarray(mask, np.float32), (5, 5))
    level = np.clip((smooth - rules.seen_from) / (rules.seen_at - rules.seen_from), 0, 1)
    shown = cv2.blur(visible(disparity).astype(np.float32), (3, 3))
    return np.asarray(level * shown, np.float32)


def fuse(present: Past, mask: Plane, side: RgbImage | None, past: Past, rules: Rules) -> Fused:
    """Fuse a reconstruction with the past.

    Args:
        present: `remember` of the frame decoded alone.
        mask: (H, W) float32 in [0, 1], the decoder's.
        side: (H, W, 3) uint8 RGB, the side view it was decoded with; None leaves its geometry as it is.
        past: of the frame before, of the same size.
        rules: how far it is believed.

    Two properties keep errors from staying: every weight is below one, and what the past changes is cut towards zero
    when rounded, so an error of the past shrinks by at least one grey level a frame where nothing else feeds it.
    """
    back, forth = estimate(present.decoded, past.decoded)
    hidden = hidden_places(present.disparity)
    carried = _carried(forth, past, hidden, rules)
    motion = _joined(back, carried, present.seen < 0.5)
    change = follow_picture(past.image, motion.flow) - present.image
    detail = change - smooth_part(change, motion.trust)
    reliability = _reliability(motion, detail, rules)
    if float(reliability.mean()) < rules.cut:
        return Fused(present, np.zeros_like(present.seen), True)
    before = np.clip(follow(past.seen, motion.flow), 0, 1) * reliability
    gain = np.zeros_like(before) if carried is None else np.clip(before - present.seen, 0, 1) * carried.found
    weight = rules.painted * gain
    correction = weight[..., None] * detail
    disparity, steadied = present.disparity, np.zeros_like(weight)
    if side is not None and side.shape == present.image.shape:
        weights = np.float32(rules.geometry) * back.trust * present.seen * follow(past.seen, back.flow)
        disparity, steadied = steady(present.disparity, follow(past.disparity, back.flow), weights)
        correction += mask[..., None] * (side_at(side, disparity) - side_at(side, present.disparity))
    image = np.clip(present.image + np.trunc(correction), 0, 255).astype(np.uint8)
    seen, known = np.maximum(present.seen, gain * rules.fade), present.known
    if carried is not None:
        # What was carried into a painted place is carried on from there, as long as it is believed.
        taken = carried.found & (gain > 0.5)
        disparity, known = np.where(taken, carried.disparity, disparity), known | taken
    result = Past(
        image, present.decoded, np.asarray(seen, np.float32), np.asarray(disparity, np.float32), known
    )
    return Fused(result, np.asarray(np.maximum(weight, steadied), np.float32), False)


def _carried(forth: Motion, past: Past, hidden: NDArray[np.bool_], rules: Rules) -> Carried | None:
    """Return what the camera's motion brings into hidden places; None when it is not known."""
    rigid = fit(forth.flow, past.disparity, (forth.trust > 0.6) & past.known)
    if rigid is None or rigid.inliers < rules.inliers:
        return None
    return carry(rigid, past.disparity, past.known, hidden)


def _joined(back: Motion, carried: Carried | None, hidden: NDArray[np.bool_]) -> Motion:
    """Return the motion back to the past: as matched, but where the present is painted only what the camera's says.

    A match with something painted is a guess.
    """
    trust = np.where(hidden, 0, back.trust).astype(np.float32)
    if carried is None:
        return Motion(back.flow, trust)
    flow = np.where(carried.found[..., None], carried.flow, back.flow)
    return Motion(flow, np.where(carried.found, inside(carried.flow), trust).astype(np.float32))


def _reliability(motion: Motion, detail: Plane, rules: Rules) -> Plane:
    """Return (H, W) float32 in [0, 1]: the motion is consistent and the pictures agree along it.

    They are compared over a neighbourhood: what is painted has colour and large shapes right, detail it has none.
    """
    reach = 2 * max(1, round(motion.trust.shape[0] / 32)) + 1
    difference = sum(np.abs(colour) for colour in cv2.split(cv2.blur(detail, (reach, reach)))) / 3
    return np.asarray(motion.trust * np.exp(-((difference / rules.grey_levels) ** 2)), np.float32)
