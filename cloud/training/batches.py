"""Batches of training crops, drawn from the pools of pairs."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cloud.text.vocabulary import OBJECTS, POSITIONS, tags_of_labels

from .config import TrainConfig
from .data import U8, CropShape, Pair, Sample, Trouble, cut


class Batch(NamedTuple):
    """main, side (B, 3, H, W) in [0, 1]; disparity (B, 1, H, W), negative unknown; present (B,); tags (B, 14, 3)."""

    main: Tensor
    side: Tensor
    disparity: Tensor
    present: Tensor
    tags: Tensor


class Batches:
    """Draws batches: the crop's shape, the pool, the pair, the crop and its troubles, all from one generator."""

    def __init__(
        self,
        config: TrainConfig,
        pairs: list[Pair],
        synthetic: list[Pair],
        rng: random.Random,
        device: torch.device,
    ) -> None:
        self.config, self.rng, self.device = config, rng, device
        self.pools = {
            "colour": [p for p in pairs if not p.grey],
            "grey": [p for p in pairs if p.grey],
            "synthetic": synthetic,
        }

    def draw(self, shape: CropShape, rng: random.Random) -> Sample:
        """Return one crop."""
        roll = rng.random()
        pool = self.pools["colour"]
        if self.pools["synthetic"] and roll < self.config.synthetic_share:
            pool = self.pools["synthetic"]
        elif self.pools["grey"] and roll > 1 - self.config.grey_share:
            pool = self.pools["grey"]
        if not pool:
            pool = self.pools["synthetic"] or self.pools["grey"]
        c = self.config
        trouble = Trouble(c.drop_side, c.lossy_side, c.stale_side, c.wrong_side, c.tint)
        return cut(rng.choice(pool), shape, rng, trouble, rng.choice(pool))

    def next(self) -> Batch:
        """Return a batch of one of the config's crop shapes."""
        shape = self.rng.choices(self.config.crops, self.config.crop_weights)[0]
        samples = [self.draw(shape, self.rng) for _ in range(shape.batch)]

        def images(arrays: list[U8]) -> Tensor:
            stacked = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(self.device)
            return stacked.float().div(255).contiguous(memory_format=torch.channels_last)

        disparity = torch.from_numpy(np.stack([s.disparity for s in samples]))[:, None].to(self.device)
        present = torch.tensor([float(s.present) for s in samples], device=self.device)
        tags = torch.zeros(len(samples), len(OBJECTS), len(POSITIONS))
        for row, sample in zip(tags, samples, strict=True):
            # As in the paper, the text is left out now and then; without a side view there is none. The draw is
            # made for every sample: two models that differ in what they use see the same crops.
            told = self.rng.random() >= self.config.drop_text
            if sample.labels is not None and sample.present and told:
                row.copy_(torch.tensor(tags_of_labels(sample.labels).presence))
        return Batch(
            images([s.main for s in samples]),
            images([s.side for s in samples]),
            disparity,
            present,
            tags.to(self.device),
        )
