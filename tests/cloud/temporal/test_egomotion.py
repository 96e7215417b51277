"""The camera's motion: recovered from flow and disparity, carried into what is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from cloud.temporal.egomotion import Rigid, carry, fit, move

H, W, FOCAL, BASE = 96, 192, 150.0, 0.5
CENTRE = np.array([90.0, 50.0])


def scene(forward: float = 0.8, turn: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return disparity, the flow and the next frame's disparity of a bumpy scene, by perspective alone."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:H, :W].astype(np.float64)
    depth = 10 + 3 * np.sin(x / 17) + 2 * np.cos(y / 11) + rng.uniform(0, 0.05, (H, W))
    points = np.stack([(x - CENTRE[0]) / FOCAL * depth, (y - CENTRE[1]) / FOCAL * depth, depth], -1)
    rotation = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    moved = points @ rotation.T - np.array([0.1, -0.05, forward])
    landed = moved[..., :2] / moved[..., 2:] * FOCAL + CENTRE
    flow = (landed - np.stack([x, y], -1)).astype(np.float32)
    return (FOCAL * BASE / depth).astype(np.float32), flow, (FOCAL * BASE / moved[..., 2]).astype(np.float32)


@pytest.mark.parametrize("outliers", [0.0, 0.25])
def test_motion_and_disparity_follow_from_matches_elsewhere(outliers: float) -> None:
    disparity, flow, wanted = scene()
    rng = np.random.default_rng(0)
    wrong = rng.random((H, W)) < outliers
    matched = np.where(wrong[..., None], flow + np.float32([9, 4]), flow)
    usable = np.ones((H, W), bool)
    usable[:, :60] = False  # nothing is known of the left
    motion = fit(matched, disparity, usable)
    assert motion is not None and motion.inliers == pytest.approx(1 - outliers, abs=0.05)
    rows, columns = (part.ravel() for part in np.mgrid[:H, :60])
    x, y, near = move(
        motion, columns.astype(np.float32), rows.astype(np.float32), disparity[:, :60].ravel(), W
    )
    assert np.abs(x - columns - flow[:, :60, 0].ravel()).max() < 0.5
    assert np.abs(y - rows - flow[:, :60, 1].ravel()).max() < 0.5
    assert (
        np.abs(near / wanted[:, :60].ravel() - 1).max() < 0.06
    )  # the turn's sine, times where the axis lies


def test_too_few_places_say_nothing() -> None:
    disparity, flow, _ = scene()
    usable = np.zeros((H, W), bool)
    usable[:10, :10] = True
    assert fit(flow, disparity, usable) is None


def test_standing_still_is_found_to_be_so() -> None:
    disparity, flow, _ = scene()
    motion = fit(np.zeros_like(flow), disparity, np.ones((H, W), bool))
    assert motion is not None and np.allclose(motion.matrix, np.eye(3, 4), atol=1e-6)


def test_carrying_leads_back_to_where_it_came_from() -> None:
    disparity, flow, _ = scene()
    motion = fit(flow, disparity, np.ones((H, W), bool))
    assert motion is not None
    asked = np.zeros((H, W), bool)
    asked[20:70, 10:60] = True
    carried = carry(motion, disparity, np.ones((H, W), bool), asked)
    assert not carried.found[~asked].any() and carried.found[asked].mean() > 0.95
    rows, columns = np.nonzero(carried.found)
    back = carried.flow[rows, columns]
    from_x, from_y = np.rint(columns + back[:, 0]).astype(int), np.rint(rows + back[:, 1]).astype(int)
    there = flow[np.clip(from_y, 0, H - 1), np.clip(from_x, 0, W - 1)]
    assert np.percentile(np.abs(there + back).max(axis=1), 90) < 1.0


def test_the_nearer_of_two_counts() -> None:
    disparity = np.full((64, 64), 2.0, np.float32)
    disparity[:, 40:] = 10.0
    sideways = Rigid(np.array([[1.0, 0, 0, -2.0], [0, 1, 0, 0], [0, 0, 1, 0]]), 1.0)  # by twice the disparity
    carried = carry(sideways, disparity, np.ones((64, 64), bool), np.ones((64, 64), bool))
    assert np.allclose(carried.flow[:, 24:35, 0], 20) and np.allclose(carried.disparity[:, 24:35], 10)
    assert np.allclose(carried.flow[:, 5:15, 0], 4) and not carried.found[:, 50:].any()
