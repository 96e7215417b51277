"""What a refinement is fitted to: crops, and what a bundle's decoder made of them, kept in a folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from cloud.decoder import Decoder
from cloud.models.codec import Codec
from common.entropy.latents import LatentCodec
from common.luma import coefficients, luma

from .batches import Batches
from .steps import Example

U8 = NDArray[np.uint8]


class Scene(NamedTuple):
    """A crop and its reconstruction: main, base, warped (3, H, W), mask (1, H, W) uint8; y16 (C, h, w) int64.

    latents: the quality that y16 are the latents of. present: whether there was a side view.
    """

    main: U8
    base: U8
    warped: U8
    mask: U8
    y16: NDArray[np.int64]
    latents: int
    present: bool

    def example(self) -> Example:
        """Return what the steps are chosen by."""
        planes = [coefficients(luma(np.moveaxis(view, 0, 2))) for view in (self.main, self.base)]
        return Example(planes[0], planes[1], self.y16)


def make(
    folder: Path,
    decoder: Decoder,
    batches: Batches,
    count: int,
    latents: list[int],
    bases: list[int] | None = None,
) -> None:
    """Decode `count` batches with the latents of each quality in turn; what lies in the folder already is kept.

    A decoder rebuilds the crops it was trained on better than new ones. `bases` makes up for that: pictures decoded
    from the latents of lower qualities stand for what it makes of new ones at the quality itself.

    Args:
        folder: gets NNNN.npz, one a batch.
        decoder: of the bundle to be refined.
        batches: draws crops and the troubles of their side views.
        count: how many batches.
        latents: qualities, taken in turn.
        bases: qualities whose latents the pictures are decoded from, taken in turn; None: the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, generator = decoder.model, torch.Generator().manual_seed(1)
    codec = copy.copy(decoder.codec)
    codec.refinement = None  # a bundle that is refined already is refined anew
    codec.illumination = None  # of whole pictures, not of crops
    for index in tqdm(range(count), desc="decoding", disable=None):
        batch = batches.next()  # drawn even where it is not used: the next ones stay the same
        path = folder / f"{index:04d}.npz"
        if path.is_file():
            continue
        quality = latents[index % len(latents)]
        base = bases[index // len(latents) % len(bases)] if bases else quality
        size, _, height, width = batch.main.shape
        noise = torch.randn(
            size, decoder.config.diffusion_channels, height // 8, width // 8, generator=generator
        )
        with torch.inference_mode():
            y_hat = _sent(model, codec, batch.main, quality)
            seen = y_hat if base == quality else _sent(model, codec, batch.main, base)
            out = model.decode(
                torch.from_numpy(seen).to(batch.main.device),
                torch.full((size,), base, device=batch.main.device),
                batch.side,
                batch.present,
                noise.to(batch.main.device),
                1,
                tags=batch.tags,
            )
        temporary = path.with_suffix(".partial.npz")
        np.savez(
            temporary,
            X=_bytes(batch.main),
            base=_bytes((out.blend.image + 1) / 2),
            warp=_bytes((out.geometry.warped + 1) / 2),
            mask=_bytes(out.blend.mask),
            y16=np.round(y_hat * 16).astype(np.int32),
            present=batch.present.cpu().numpy(),
            q=quality,
        )
        temporary.replace(path)


def _sent(model: Codec, codec: LatentCodec, main: Tensor, quality: int) -> NDArray[np.float32]:
    """Return the latents (B, C, h, w) of crops as a decoder gets them."""
    y, z = model.analysis(main, torch.full((len(main),), quality, device=main.device))
    pairs = zip(y.cpu().numpy(), z.cpu().numpy(), strict=True)
    return np.stack([codec.encode(a, b, quality).y_hat for a, b in pairs])


def load(folder: Path) -> list[Scene]:
    """Return every scene in a folder that `make` filled."""
    scenes = []
    for path in tqdm(sorted(folder.glob("[0-9]*.npz")), desc="reading", disable=None):
        if path.name.endswith(".partial.npz"):
            continue
        with np.load(path) as file:
            views = [file[name] for name in ("X", "base", "warp", "mask")]
            y16, present, quality = file["y16"].astype(np.int64), file["present"], int(file["q"])
        for index in range(len(y16)):
            main, base, warped, mask = (view[index] for view in views)
            scenes.append(Scene(main, base, warped, mask, y16[index], quality, bool(present[index])))
    return scenes


def _bytes(image: Tensor) -> U8:
    return np.asarray((image.float().clamp(0, 1) * 255).round().byte().cpu().numpy())
