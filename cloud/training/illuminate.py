"""`mdic-cloud illuminate`: give a bundle an illumination: which of a picture's longest waves are sent, how finely."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cloud.decoder import Decoder, DecodeRequest
from cloud.models.relighting import MARGIN
from cloud.pictures import to_planes
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.datasets.layouts import open_datasets
from common.entropy.coder import PROBABILITY_TOTAL
from common.entropy.illumination import UNIT
from common.entropy.tables import CdfTables, laplace_tables
from common.errors import UsageError
from common.illumination import MOST_WAVES, PLANES, TO_YCBCR, Wave, illumination
from common.types import RgbImage

_UNSEEN = 0.1
"""One more picture, this far from the mean, so that a handful of pictures does not pass for all there are."""
STEPS = tuple(round(UNIT * 0.01 * 2 ** (i / 2)) for i in range(8))
"""Tried for each wave: 0.01 to 0.11 of the range from black to white."""
DOWNWARDS, ACROSS = 6, 10
"""Half waves up to which one is tried."""
_MAX_LEVEL = 31
CANDIDATES: list[Wave] = [(p, v, u) for p in range(PLANES) for v in range(DOWNWARDS) for u in range(ACROSS)]
_TO_RGB = np.linalg.inv(TO_YCBCR)


class Example(NamedTuple):
    """A picture: all `CANDIDATES` as they are and as rebuilt, (K,) each, and the mean squared error (range 0 to 1)."""

    true: NDArray[np.float64]
    rebuilt: NDArray[np.float64]
    error: float


class Choice(NamedTuple):
    """A wave that is worth its bits: which, its step and mean in 1/4096, the spread of its levels, dB and bits."""

    wave: Wave
    step: int
    mean: int
    scale: float
    gain: float
    bits: float


def choose(examples: list[Example], price: float) -> list[Choice]:
    """Return the waves that gain more than `price` dB of PSNR a bit, in the mean of all pictures; the best come first.

    Each is looked at by itself. Waves of different numbers of half waves are orthogonal; those of one number in two
    planes share red, green and blue, so together they gain a little more or less than the sum. At most 64 are taken.
    """
    true, rebuilt = (np.stack([getattr(e, name) for e in examples]) for name in ("true", "rebuilt"))
    error = np.array([e.error for e in examples])
    found = []
    for index, wave in enumerate(CANDIDATES):
        mean = round(float(true[:, index].mean()) * UNIT)
        spread = float((np.abs(true[:, index] - mean / UNIT).sum() + _UNSEEN) / (len(examples) + 1))
        wrong = [rebuilt[:, i] - true[:, i] for i in _beside(index)]
        best: Choice | None = None
        for step in STEPS:
            s, scale = step / UNIT, max(spread * UNIT / step, 0.05)
            levels = np.rint((true[:, index] - mean / UNIT) / s)
            low = mean / UNIT + (levels - 0.5) * s
            guess = rebuilt[:, index]
            moved = np.clip(guess, low + MARGIN * s, low + (1 - MARGIN) * s)
            told = np.where((guess < low) | (guess > low + s), moved, guess)
            after = [told - true[:, index] if plane == wave[0] else wrong[plane] for plane in range(PLANES)]
            left = np.maximum(error - _square(wrong) + _square(after), error / 100)
            gain = float((10 * np.log10(error / left)).mean())
            bits = _bits(levels.astype(np.int64), scale)
            if gain > price * bits and (best is None or gain - price * bits > best.gain - price * best.bits):
                best = Choice(wave, step, mean, scale, gain, bits)
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda choice: -choice.gain / choice.bits)[:MOST_WAVES]


def _beside(index: int) -> list[int]:
    """Return the places in `CANDIDATES` of a candidate's wave in luma, Cb and Cr."""
    a_plane = DOWNWARDS * ACROSS
    return [plane * a_plane + index % a_plane for plane in range(PLANES)]


def _square(wrong: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean square in red, green and blue of one wave's errors in luma, Cb and Cr, (N,) each."""
    return np.asarray(np.square(_TO_RGB @ np.stack(wrong)).mean(0))


def _bits(levels: NDArray[np.int64], scale: float) -> float:
    """Return the bits that a level takes in the mean; one outside the table is counted as at its edge."""
    tables = CdfTables(laplace_tables(np.array([scale]), _MAX_LEVEL), "fit")
    inside = np.clip(levels, -_MAX_LEVEL, _MAX_LEVEL)
    _, freqs = tables.slices(np.zeros(levels.size, np.intp), inside)
    return float(np.log2(PROBABILITY_TOTAL / freqs).mean())


def arrays(chosen: list[Choice], counts: list[int]) -> dict[str, NDArray[np.int32]]:
    """Return a bundle's arrays (proto/BITSTREAM.md, section 5.2); `counts`: how many waves each quality sends."""
    return {
        "light_wave": np.array([choice.wave for choice in chosen], np.int32),
        "light_step": np.array([choice.step for choice in chosen], np.int32),
        "light_mean": np.array([choice.mean for choice in chosen], np.int32),
        "light_count": np.array([min(count, len(chosen)) for count in counts], np.int32),
        "light_cdf": laplace_tables(np.array([choice.scale for choice in chosen]), _MAX_LEVEL),
    }


def examples(decoder: Decoder, folder: Path, every: int, quality: int) -> Iterator[Example]:
    """Yield pictures of a folder of stereo pairs, shrunk to 256 columns, as the decoder rebuilds them."""
    decoder.codec.illumination = None  # a bundle that has one gets a new one
    for dataset in open_datasets(folder):
        for index in range(0, len(dataset), every):
            frame = dataset.read(index)
            if frame.main is None or frame.side is None or frame.main.shape[1] < 256:
                continue
            main, side = (_cut(view) for view in (frame.main, frame.side))
            image = _rebuilt(decoder, main, side, quality)
            error = float(np.square((image.astype(np.float64) - main) / 255).mean())
            yield Example(illumination(main, CANDIDATES), illumination(image, CANDIDATES), max(error, 1e-6))


def _cut(view: RgbImage) -> RgbImage:
    """Return the centre of a picture, twice as wide as high, at 128x256."""
    height, width = view.shape[:2]
    rows = min(height, width // 2)
    top, left = (height - rows) // 2, (width - 2 * rows) // 2
    part = view[top : top + rows, left : left + 2 * rows]
    return np.asarray(cv2.resize(part, (256, 128), interpolation=cv2.INTER_AREA), np.uint8)


def _rebuilt(decoder: Decoder, main: RgbImage, side: RgbImage, quality: int) -> RgbImage:
    """Return what the decoder makes of a picture coded at a quality without a refinement."""
    height, width = main.shape[:2]
    view = decoder.bundle.coded_view(quality, height, width)
    padded = view.latent_height * 16, view.latent_width * 16
    planes = to_planes(main, (view.height, view.width), padded, decoder.device)
    at = torch.full((1,), decoder.codec.latent_quality(view.quality), device=decoder.device)
    with torch.inference_mode():
        y, z = decoder.model.analysis(planes, at)
    latents = y[0].cpu().numpy(), z[0].cpu().numpy()
    payload = decoder.codec.encode(*latents, view.quality, contexts=view.contexts).payload
    packet = Packet(quality, payload).serialize(SessionFacts(decoder.bundle.id, height, width))
    return decoder.decode(DecodeRequest(packet, height, width, side)).image


def parse_counts(text: str | None, qualities: int) -> list[int]:
    """Read `4,4,...`, how many waves each quality sends at most; without it all.

    Raises:
        UsageError: not one number for each quality.
    """
    if text is None:
        return [len(CANDIDATES)] * qualities
    parts = text.split(",")
    if len(parts) != qualities or not all(part.isdecimal() and len(part) < 4 for part in parts):
        raise UsageError(f"--counts {text!r}: expected {qualities} numbers separated by commas")
    return [int(part) for part in parts]


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    p = argparse.ArgumentParser(
        prog="mdic-cloud illuminate",
        description="fit an illumination to a bundle: a few long waves of the picture",
    )
    p.add_argument("--bundle", help="name or folder of the bundle (default: the shipped one)")
    p.add_argument("--data", type=Path, required=True, help="folder of stereo pairs")
    p.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    p.add_argument(
        "--every", type=int, default=4, metavar="N", help="take every Nth pair (default: %(default)s)"
    )
    p.add_argument("--quality", type=int, default=4, help="decode at this one (default: %(default)s)")
    p.add_argument(
        "--price", type=float, default=0.0008, help="dB of PSNR that a bit must gain (default: %(default)s)"
    )
    p.add_argument(
        "--counts",
        metavar="N,...",
        help="for each of the codec's qualities, how many waves at most, where the bundle's resampling tables do not "
        "say it (default: all)",
    )
    p.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    return p


def main(argv: list[str] | None = None) -> int:
    """Fit, write the bundle, and print what was chosen."""
    args = parser().parse_args(argv)
    from cloud.allocator import keep_freed_memory
    from cloud.rebundle import add_illumination
    from common.bundle import Bundle

    bundle = Bundle.load(args.bundle)
    counts = parse_counts(args.counts, bundle.codec.qualities)
    if args.out.resolve() == bundle.path.resolve():
        raise UsageError(f"--out {args.out} is the bundle itself: give another folder")
    if args.every < 1 or not 0 < args.price < math.inf:
        raise UsageError("--every is 1 or more, --price above 0")
    decoder = Decoder(bundle, args.device)
    view = bundle.coded_view(args.quality, 128, 256) if 0 <= args.quality < bundle.codec.qualities else None
    if view is None or decoder.codec.is_refined(view.quality):
        raise UsageError(f"--quality {args.quality}: give one of the bundle's that carries no refinement")
    if decoder.device.type == "cpu":
        keep_freed_memory()
    drawn = examples(decoder, args.data, args.every, args.quality)
    seen = list(tqdm(drawn, desc="decoding", unit="pair", disable=None))
    if not seen:
        raise UsageError(f"no stereo pairs of 256 columns or more in {args.data}")
    chosen = choose(seen, args.price)
    if not chosen:
        raise UsageError("no wave is worth its bits at this price")
    for choice in chosen:
        name = ("luma", "Cb", "Cr")[choice.wave[0]]
        print(
            f"{name:>4} {choice.wave[1:]}: step {choice.step / UNIT:.3f}, {choice.bits:.2f} bits, "
            f"{choice.gain:.3f} dB"
        )
    total = sum(choice.bits for choice in chosen) / 8
    print(f"{len(seen)} pairs, {len(chosen)} waves, {total:.1f} bytes a frame")
    facts = {"pairs": len(seen), "quality": args.quality, "price": args.price}
    made = add_illumination(bundle, args.out, arrays(chosen, counts), facts)
    print(f"bundle {made.name} {made.hex} in {made.path}")
    return 0
