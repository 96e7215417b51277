"""What the side view gives for nothing: the controls that every report of ours shows beside our curve.

None of them codes anything of the main view. *Copied*: the side view stands in for it. *Shifted*: the side
view moved by the one disparity that fits best, which takes a byte. *Oracle*: the side view warped by the
true geometry, found with both uncut views at hand, holes painted over: what perfect geometry without any
residual would reach.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.protocol import PROTOCOLS, Sample
from common.types import RgbImage

MAX_SHIFT = 255
"""A byte's worth of disparities."""
SGBM_DISPARITIES = 128
SGBM_BLOCK = 3
CONSISTENCY_PX = 2.0
INPAINT_RADIUS_PX = 3


def shift_right(side: RgbImage, disparity: int) -> RgbImage:
    """Move an (H, W, 3) picture to the right by `disparity` pixels, its left edge repeated.

    The main view is the left one: what it shows at column x, the side view shows at x - disparity.
    """
    columns = np.clip(np.arange(side.shape[1]) - disparity, 0, None)
    return np.ascontiguousarray(side[:, columns])


def best_shift(main: RgbImage, side: RgbImage) -> tuple[RgbImage, int]:
    """Return the side view moved by the whole-image disparity of least squared error, and that disparity."""
    largest = min(MAX_SHIFT, side.shape[1] - 1)
    errors = [float(cv2.norm(main, shift_right(side, d), cv2.NORM_L2SQR)) for d in range(largest + 1)]
    disparity = int(np.argmin(errors))
    return shift_right(side, disparity), disparity


def oracle_disparity(main: RgbImage, side: RgbImage) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Match both views and return the main view's disparity in pixels and where it is not to be trusted.

    Semi-global matching from the main view and from the side view (mirrored); a pixel is a hole where
    either found nothing or the two differ by more than two pixels.

    Returns:
        (H, W) float32 disparity and (H, W) bool holes.
    """
    left, right = (np.asarray(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), np.uint8) for view in (main, side))
    forward = _match(left, right)
    backward = _match(right[:, ::-1], left[:, ::-1])[:, ::-1]
    rows, columns = _grid(*forward.shape)
    seen = cv2.remap(
        np.ascontiguousarray(backward), columns - forward, rows, cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT, borderValue=-1e3,
    )  # fmt: skip
    holes = (forward < 0) | (seen < 0) | (np.abs(forward - seen) > CONSISTENCY_PX)
    return forward, holes


def warp(side: RgbImage, disparity: NDArray[np.float32]) -> RgbImage:
    """Resample an (H, W, 3) side view at column x - disparity(x), bilinearly, edges repeated."""
    rows, columns = _grid(*disparity.shape)
    warped = cv2.remap(side, columns - disparity, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)


def oracle_warp(main: RgbImage, side: RgbImage) -> RgbImage:
    """Return the side view warped by the true disparity, its holes inpainted (Navier-Stokes)."""
    disparity, holes = oracle_disparity(main, side)
    painted = cv2.inpaint(warp(side, disparity), holes.astype(np.uint8), INPAINT_RADIUS_PX, cv2.INPAINT_NS)
    return np.asarray(painted, dtype=np.uint8)


def controls(sample: Sample, protocol: str) -> dict[str, tuple[RgbImage, int | None, str]]:
    """Return every control of a pair: name -> (picture, bytes or None where they are not counted, note).

    The copy and the shift use the side view as the decoder has it; the oracle uses the uncut, uncompressed
    one.
    """
    if sample.side is None:
        return {}
    shifted, disparity = best_shift(sample.main, sample.side)
    oracle = PROTOCOLS[protocol](oracle_warp(sample.whole_main, sample.whole_side))
    return {
        "side-copied": (sample.side, 0, ""),
        "best-shift": (shifted, 1, f"{disparity} px"),
        "oracle-warp": (oracle, None, ""),
    }


def _match(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the disparity of `left` in pixels, negative where none was found, (H, W) float32."""
    # Without a margin the matcher gives up on the leftmost columns altogether.
    margin = SGBM_DISPARITIES
    left, right = (
        np.asarray(cv2.copyMakeBorder(view, 0, 0, margin, margin, cv2.BORDER_REPLICATE), np.uint8)
        for view in (left, right)
    )
    matcher = cv2.StereoSGBM.create(
        minDisparity=0, numDisparities=SGBM_DISPARITIES, blockSize=SGBM_BLOCK, P1=8 * 3 * SGBM_BLOCK**2,
        P2=32 * 3 * SGBM_BLOCK**2, disp12MaxDiff=-1, preFilterCap=63, uniquenessRatio=0,
        speckleWindowSize=100, speckleRange=2, mode=cv2.STEREO_SGBM_MODE_HH,
    )  # fmt: skip
    disparity = np.asarray(matcher.compute(left, right), np.float32) / np.float32(16)
    return disparity[:, margin:-margin]


def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return rows, columns
