"""`mdic-cloud contexts`: give a bundle context tables, counted on real frames (proto/BITSTREAM.md, section 5.3)."""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cloud.decoder import Decoder
from cloud.pictures import to_planes
from common.bitstream.limits import MIN_SIDE
from common.datasets.layouts import open_datasets
from common.entropy.contexts import COMBINATIONS, Y_FREQ, Z_FREQ, combinations
from common.entropy.tables import quantise_pmf
from common.errors import UsageError
from common.resampling import CONTEXTS, RESAMPLING, SAME, CodedView, resample
from common.types import RgbImage

_AS_CUT = 1 << 16
"""Frames of at most so many pixels are cut twice as wide as high, as the field's 128x256 is; larger ones are whole."""
_CHANNEL, _ALL = 20.0, 2.0
"""How many symbols seen weigh as much as what a channel's other contexts say, and as what all channels say."""
_TAIL = 0.5
"""Times which a value that no frame has is likelier than the next."""


class Way(NamedTuple):
    """A way of coding: table of the manifest, scale as the coded size tells it, latents and where they are rounded."""

    table: int
    scale: int
    quality: int
    round_at: float


class Counts:
    """How often each value was seen: z (Z, 2 zmax + 2), y (C, 27, 2 ymax + 2), the escape last."""

    def __init__(self, hyper_channels: int, channels: int, largest: tuple[int, int]) -> None:
        self.z = np.zeros((hyper_channels, 2 * largest[0] + 2), np.int64)
        self.y = np.zeros((channels, COMBINATIONS, 2 * largest[1] + 2), np.int64)
        self.frames = 0

    def add(self, z: NDArray[np.int32], y: NDArray[np.int32], coded: NDArray[np.bool_]) -> None:
        """Count one frame's integers: z (Z, h/4, w/4) and those of y (C, h, w) that are coded."""
        self.frames += 1
        most = self.y.shape[2] // 2 - 1
        channel = np.broadcast_to(np.arange(len(y))[:, None, None], y.shape)
        where = channel[coded], combinations(y, most)[coded], _symbols(y[coded], most)
        np.add.at(self.y, where, 1)
        channel = np.broadcast_to(np.arange(len(z))[:, None, None], z.shape)
        np.add.at(self.z, (channel, _symbols(z, self.z.shape[1] // 2 - 1)), 1)

    def tables(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Return frequencies out of 65536, z's and y's.

        What was seen in a context is mixed with what its channel has seen, and that with what all have.
        """
        every_z = _shares(self.z.sum(0) + _floor(self.z.shape[1]))
        z = _shares(self.z + every_z)
        every = _shares(self.y.sum((0, 1)) + _floor(self.y.shape[2]))
        channel = _shares(self.y.sum(1) + _ALL * every)
        y = _shares(self.y + _CHANNEL * channel[:, None])
        return _frequencies(z), _frequencies(y)


def _symbols(values: NDArray[np.int32], most: int) -> NDArray[np.intp]:
    """Return the place of each value in its table, the escape's for those outside."""
    return np.where(np.abs(values) <= most, values + most, 2 * most + 1).astype(np.intp)


def _floor(symbols: int) -> NDArray[np.float64]:
    """Return small counts that fall with the magnitude: what was never seen may come, the larger the less likely."""
    most = symbols // 2 - 1
    return np.append(_TAIL ** (4.0 + np.abs(np.arange(-most, most + 1))), _TAIL ** (4.0 + most))


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts / counts.sum(-1, keepdims=True))


def _frequencies(shares: NDArray[np.float64]) -> NDArray[np.uint16]:
    cdf = quantise_pmf(shares.reshape(-1, shares.shape[-1]))
    return np.diff(cdf, axis=1).astype(np.uint16).reshape(shares.shape)


def ways(decoder: Decoder, tables: list[dict[str, Any]]) -> list[list[Way]]:
    """Return the way in which each quality index of each resampling table is coded."""
    codec = decoder.codec
    return [
        [
            Way(number, scale, codec.latent_quality(quality), codec.rounds_up_at(quality))
            for scale, quality in zip(table["scale"], table["quality"], strict=True)
        ]
        for number, table in enumerate(tables)
    ]


def views(frame: RgbImage, tables: list[dict[str, Any]]) -> Iterator[tuple[int, RgbImage]]:
    """Yield a frame as a frame of each resampling table's size, with the table's number, where it is large enough."""
    least = 0
    for number, table in enumerate(tables):
        picture = _cut(frame) if table["pixels"] <= _AS_CUT else frame
        height, width = picture.shape[:2]
        shrink = min(1.0, math.sqrt(table["pixels"] / (height * width)))
        if table["pixels"] <= _AS_CUT:
            shrink = min(shrink, 256 / width)
        rows, columns = math.floor(height * shrink), math.floor(width * shrink)
        if rows * columns > least and min(rows, columns) >= MIN_SIDE:
            yield number, resample(picture, rows, columns)
        least = table["pixels"]


def _cut(frame: RgbImage) -> RgbImage:
    """Return a frame's centre, twice as wide as high."""
    height, width = frame.shape[:2]
    rows = min(height, width // 2)
    top, left = (height - rows) // 2, (width - 2 * rows) // 2
    return frame[top : top + rows, left : left + 2 * rows]


def count(
    decoder: Decoder, frames: Iterator[RgbImage], tables: list[dict[str, Any]], largest: tuple[int, int]
) -> tuple[list[list[Way]], dict[Way, Counts]]:
    """Return each index's way of coding, and what was counted of each way.

    Args:
        decoder: of the bundle.
        frames: (H, W, 3) uint8.
        tables: the bundle's `[[resampling]]`.
        largest: values of z and y that have a symbol of their own.
    """
    named = ways(decoder, tables)
    shape = decoder.codec.hyper_channels, decoder.codec.latent_channels
    counted = {way: Counts(*shape, largest) for row in named for way in row}
    for frame in frames:
        for number, picture in views(frame, tables):
            _count_view(decoder, picture, number, named[number], tables[number], counted)
    return named, counted


def _count_view(
    decoder: Decoder,
    picture: RgbImage,
    number: int,
    row: list[Way],
    table: dict[str, Any],
    counted: dict[Way, Counts],
) -> None:
    """Count one picture in all the ways of its table."""
    for scale in sorted({way.scale for way in row}):
        rows, columns = (-(-side * scale // SAME) for side in picture.shape[:2])
        view = CodedView(rows, columns, 0)
        padded = view.latent_height * 16, view.latent_width * 16
        planes = to_planes(picture, (view.height, view.width), padded, decoder.device)
        with torch.inference_mode():
            u = decoder.model.analysis.transform(planes)
        # Two qualities may be one way: refined ones carry another's latents.
        chosen = {way: q for way, q in zip(row, table["quality"], strict=True) if way.scale == scale}
        for way, quality in chosen.items():
            with torch.inference_mode():
                y, z = decoder.model.analysis.scaled(u, torch.full((1,), way.quality, device=decoder.device))
            symbols, coded = decoder.codec.quantise(y[0].cpu().numpy(), z[0].cpu().numpy(), quality)
            counted[way].add(symbols.z, symbols.y, coded)


def frames(folder: Path, every: int) -> Iterator[RgbImage]:
    """Yield every Nth pair's views of a folder of stereo pairs: both cameras see roads."""
    for dataset in open_datasets(folder):
        for index in tqdm(range(0, len(dataset), every), desc=dataset.name, unit="pair", disable=None):
            frame = dataset.read(index)
            yield from (view for view in (frame.main, frame.side) if view is not None)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(
        prog="mdic-cloud contexts",
        description="fit context tables to a bundle: each latent's table by the signs of its neighbours",
    )
    p.add_argument("--bundle", help="name or folder of the bundle (default: the shipped one)")
    p.add_argument("--data", type=Path, required=True, help="folder of stereo pairs")
    p.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    p.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth pair (default: %(default)s)"
    )
    p.add_argument(
        "--largest",
        type=int,
        default=8,
        help="largest magnitude of a latent with a symbol of its own, 1 to 60 (default: %(default)s)",
    )
    p.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return p


def main(argv: list[str] | None = None) -> int:
    """Count, write the bundle, and print how much was seen."""
    args = parser().parse_args(argv)
    from cloud.allocator import keep_freed_memory
    from cloud.rebundle import add_contexts
    from common.bundle import Bundle

    bundle = Bundle.load(args.bundle)
    if args.out.resolve() == bundle.path.resolve():
        raise UsageError(f"--out {args.out} is the bundle itself: give another folder")
    if args.every < 1 or not 1 <= args.largest <= 60:
        raise UsageError("--every is 1 or more, --largest 1 to 60")
    tables = copy.deepcopy(bundle.manifest.get(RESAMPLING, []))
    if not tables:
        raise UsageError(f"bundle {bundle.name} has no resampling tables to name its sets of contexts")
    decoder = Decoder(bundle, args.device)
    if decoder.device.type == "cpu":
        keep_freed_memory()
    named, counted = count(decoder, frames(args.data, args.every), tables, (1, args.largest))
    ordered = list(counted)
    unseen = [way for way in ordered if not counted[way].frames]
    if unseen:
        raise UsageError(
            f"no frame in {args.data} is large enough for resampling table {unseen[0].table + 1}"
        )
    made = [counted[way].tables() for way in ordered]
    for table, row in zip(tables, named, strict=True):
        table[CONTEXTS] = [ordered.index(way) for way in row]
    arrays = {Z_FREQ: np.stack([z for z, _ in made]), Y_FREQ: np.stack([y for _, y in made])}
    facts = {"frames": max(one.frames for one in counted.values()), "largest": args.largest}
    result = add_contexts(bundle, args.out, arrays, tables, facts)
    print(f"{facts['frames']} frames, {len(ordered)} sets of tables")
    print(f"bundle {result.name} {result.hex} in {result.path}")
    return 0
