"""The frozen optical flow: RAFT-small of torchvision, with the authors' weights under torchvision's names.

Source: Z. Teed, J. Deng, *RAFT: Recurrent All-Pairs Field Transforms for Optical Flow*, ECCV 2020 (arXiv 2003.12039).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.downstream.teachers import fill, read_state_dict
from common.errors import MissingDependency
from common.types import RgbImage

WEIGHTS_FILE = "raft-small.pth"
UPDATES = 12
"""Refinements, torchvision's default; what is compared is the same network on both pictures."""
LEAST_SIDE = 128
"""RAFT's coarsest correlation level, 64 times smaller, needs two cells."""

# The authors' names -> torchvision's; applied in order, to every key.
_RENAMED = (
    (r"^module\.", ""),
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"^(\w+_encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"^(\w+_encoder)\.conv2\.", r"\1.conv."),
    (r"\.(layer\d\.\d)\.conv(\d)\.", r".\1.convnormrelu\2.0."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.", "update_block.recurrent_block.convgru1."),
)  # fmt: skip


class Flow:
    """Find where every pixel of a picture went in the next one."""

    name = "RAFT-small"

    def __init__(self, network: Any, device: str = "cpu") -> None:
        """Take torchvision's RAFT, filled."""
        self._network, self._device = network.to(device), device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Flow:
        """Return RAFT-small with the weights of a file, the authors' names or torchvision's.

        Raises:
            BundleCorrupt: the file does not hold that network.
            MissingDependency: torchvision is not installed.
        """
        try:
            from torchvision.models.optical_flow import raft_small
        except ImportError as error:
            raise MissingDependency("torchvision", "bench") from error
        return cls(fill(raft_small(weights=None), renamed(read_state_dict(path)), path), device)

    def flow(self, first: RgbImage, second: RgbImage) -> NDArray[np.float32]:
        """Return the (H, W, 2) float32 motion in pixels, x then y, from `first` to `second` (both (H, W, 3) uint8)."""
        import torch

        height, width = first.shape[:2]
        pair = [torch.from_numpy(_padded(view)).to(self._device) for view in (first, second)]
        with torch.inference_mode():
            steps = self._network(*pair, num_flow_updates=UPDATES)
        motion = steps[-1][0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(motion[:height, :width])


def renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict with the authors' names changed to torchvision's; others stay as they are."""
    return {_rename(key): value for key, value in state.items()}


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


def _padded(view: RgbImage) -> NDArray[np.float32]:
    """Return (1, 3, h, w) float32 in [-1, 1]; the edge is repeated below and right to multiples of 8."""
    height, width = (max(LEAST_SIDE, -(-side // 8) * 8) for side in view.shape[:2])
    grown = np.pad(view, ((0, height - view.shape[0]), (0, width - view.shape[1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(grown.transpose(2, 0, 1)[None]).astype(np.float32) / 127.5 - 1
