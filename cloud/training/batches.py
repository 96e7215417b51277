"""Batches of training crops, drawn from the pools of pairs, by this process or by several beside it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cloud.text.vocabulary import OBJECTS, POSITIONS, tags_of_labels

from .config import TrainConfig
from .crops import CropShape, Sample, Trouble, cut
from .data import U8, Pair


class Batch(NamedTuple):
    """main, side (B, 3, H, W) in [0, 1]; disparity (B, 1, H, W), negative unknown; present (B,); tags (B, 14, 3).

    As drawn, before it goes to a device, its views are (B, H, W, 3) uint8. lossy (B,) bool stays in main memory: which
    side views went through a lossy codec.
    """

    main: Tensor
    side: Tensor
    disparity: Tensor
    present: Tensor
    tags: Tensor
    lossy: Tensor


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
        trouble = Trouble(
            c.drop_side, c.lossy_side, c.stale_side, c.wrong_side, c.tint, c.colour, c.paste, c.near
        )
        return cut(rng.choice(pool), shape, rng, trouble, rng.choice(pool))

    def raw(self, rng: random.Random) -> Batch:
        """Return a batch of one of the config's crop shapes as drawn, in main memory."""
        shape = rng.choices(self.config.crops, self.config.crop_weights)[0]
        samples = [self.draw(shape, rng) for _ in range(shape.batch)]

        def images(arrays: list[U8]) -> Tensor:
            return torch.from_numpy(np.stack(arrays))

        tags = torch.zeros(len(samples), len(OBJECTS), len(POSITIONS))
        for row, sample in zip(tags, samples, strict=True):
            # As in the paper, the text is left out now and then; without a side view there is none. The draw is
            # made for every sample: two models that differ in what they use see the same crops.
            told = rng.random() >= self.config.drop_text
            if sample.labels is not None and sample.present and told:
                row.copy_(torch.tensor(tags_of_labels(sample.labels).presence))
        return Batch(
            images([s.main for s in samples]),
            images([s.side for s in samples]),
            torch.from_numpy(np.stack([s.disparity for s in samples]))[:, None],
            torch.tensor([float(s.present) for s in samples]),
            tags,
            torch.tensor([s.lossy for s in samples]),
        )

    def place(self, raw: Batch) -> Batch:
        """Return a batch as drawn on the device, its views as floats."""
        main, side = (view.to(self.device, non_blocking=True).permute(0, 3, 1, 2) for view in raw[:2])
        rest = [part.to(self.device, non_blocking=True) for part in raw[2:5]]
        views = [v.float().div(255).contiguous(memory_format=torch.channels_last) for v in (main, side)]
        return Batch(views[0], views[1], rest[0], rest[1], rest[2], raw.lossy)

    def next(self) -> Batch:
        """Return a batch of one of the config's crop shapes."""
        return self.place(self.raw(self.rng))


class _Draws(IterableDataset[Batch]):
    """Endless batches as drawn; every worker has a generator of its own."""

    def __init__(self, batches: Batches, seed: int) -> None:
        self.batches, self.seed = batches, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number = worker.id if worker is not None else 0
        cv2.setNumThreads(0)  # one process a core is enough, and OpenCV's threads do not survive a fork
        rng = random.Random(f"{self.seed}/{number}")
        while True:
            yield self.batches.raw(rng)


class ParallelBatches:
    """Draws batches in other processes, a few ahead: one process cannot feed a GPU.

    What is drawn depends on the seed and the number of workers. Stops with the object.
    """

    def __init__(self, batches: Batches, workers: int, seed: int) -> None:
        """Start `workers` processes that share the pairs in memory."""
        self.batches = batches
        loader = DataLoader(
            _Draws(batches, seed),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            pin_memory=batches.device.type == "cuda",
            multiprocessing_context="fork",
        )
        self._coming = iter(loader)

    def next(self) -> Batch:
        """Return the next batch on the device."""
        return self.batches.place(next(self._coming))
