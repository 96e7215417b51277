"""The frozen segmenter: ESPNetv2 trained on Cityscapes, at the frame's own scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.downstream.teachers import fill, read_state_dict
from common.errors import MissingDependency
from common.synthetic.labels import NAMES
from common.types import RgbImage

WEIGHTS_FILE = "espnetv2_s_2.0_city_1024x512.pth"
CLASSES = (*NAMES, "background")
"""Output channels of the network: the Cityscapes train ids, then everything else."""
SIZE_MULTIPLE = 32
_MEAN = np.array((0.485, 0.456, 0.406), dtype=np.float32)  # of ImageNet, RGB, as the network was trained
_STD = np.array((0.229, 0.224, 0.225), dtype=np.float32)

PALETTE = np.array(
    [
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""The colours in which Cityscapes is usually drawn, RGB; black for the background."""


class Segmenter:
    """Name the class of every pixel; deterministic on one machine."""

    name = "ESPNetv2, s = 2.0, Cityscapes"

    def __init__(self, network: Any, device: str = "cpu") -> None:
        """Take a network from (1, 3, H, W) normalised pictures to (1, classes, h, w) logits."""
        self._network, self._device = network.to(device), device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Segmenter:
        """Return the network of a state dict.

        Raises:
            BundleCorrupt: the file does not hold that network.
            MissingDependency: torch is not installed.
        """
        try:
            from benchmarks.downstream.espnet import EspNetV2
        except ImportError as error:
            raise MissingDependency("torch", "bench") from error
        return cls(fill(EspNetV2(), read_state_dict(path), path), device)

    def labels(self, image: RgbImage) -> NDArray[np.uint8]:
        """Return the classes of an (H, W, 3) uint8 RGB picture at half its working size.

        The picture is resized to the next multiple of 32 in height and width: 1242x375 is worked on as 1248x384,
        and the labels are (192, 624) uint8.
        """
        import torch

        height, width = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in image.shape[:2])
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        scaled = (resized.astype(np.float32) / 255 - _MEAN) / _STD
        batch = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))
        with torch.inference_mode():
            logits = self._network(batch.to(self._device))
        return np.asarray(logits[0].argmax(0).to(torch.uint8).cpu().numpy())


def colours(labels: NDArray[np.uint8]) -> RgbImage:
    """Return (H, W) labels as an (H, W, 3) uint8 RGB picture in the colours of Cityscapes."""
    return PALETTE[np.minimum(labels, len(PALETTE) - 1)]
