"""A few synthetic streets as files, so that the smoke run takes the same road as a real one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2

from cloud.training.config import TrainConfig
from cloud.training.crops import CropShape
from common.synthetic import StereoStreet

HEIGHT, WIDTH = 384, 768
STEPS = 2
QUALITIES = (0, 7)


def write_streets(folder: Path, pairs: int, seed: int) -> Path:
    """Write `pairs` stereo pairs as folder/NAME/{left,right}/NNNNNN.png, large enough for the protocol's cut."""
    for number in range(pairs):
        frame = StereoStreet(seed + number, height=HEIGHT, width=WIDTH).frame(0)
        for view, image in (("left", frame.main), ("right", frame.side)):
            path = folder / f"pairs_street{seed}" / view / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def shrink(config: TrainConfig) -> TrainConfig:
    """Return the configuration with a small network, small crops and two steps."""
    model = dataclasses.replace(
        config.model, latent_channels=8, hyper_channels=2, diffusion_channels=8, diffusion_width=32
    )
    crop = CropShape(64, 128, 2, (0.4, 0.6))
    return dataclasses.replace(config, model=model, crops=(crop,), crop_weights=(1.0,), steps=STEPS)
