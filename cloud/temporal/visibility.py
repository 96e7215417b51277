"""Which pixels of the main view the side view can see at all, from the decoded disparity."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SLACK_PX = 1.0


def visible(disparity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell for each main pixel whether the side camera sees it.

    Main pixel x lies at column x - d of the side view (rectified, the main camera on the left). It is not seen when
    that column is left of the picture, or when a pixel further right lands left of it: that one has more disparity, so
    it is nearer and stands in front.

    Args:
        disparity: (H, W) float32 pixels.

    Returns:
        (H, W) bool.
    """
    columns = np.arange(disparity.shape[1], dtype=np.float32)
    landing = columns - disparity
    nearest = np.minimum.accumulate(landing[:, ::-1], axis=1)[:, ::-1]
    covered = np.zeros(landing.shape, bool)
    covered[:, :-1] = nearest[:, 1:] < landing[:, :-1] - _SLACK_PX
    return np.asarray((landing >= -_SLACK_PX / 2) & ~covered)


def hidden_places(disparity: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell where the side camera sees nothing, as whole places; specks, which disparity's noise makes, are left out.

    Args:
        disparity: (H, W) float32 pixels.

    Returns:
        (H, W) bool.
    """
    size = 2 * max(1, round(disparity.shape[0] / 128)) + 1
    specks_gone = cv2.morphologyEx(
        (~visible(disparity)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8)
    )
    return np.asarray(specks_gone, bool)
