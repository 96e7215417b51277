"""What else the same bytes could have bought: WebP and JPEG XL at no more bytes than ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from common.types import RgbImage

# Where a codec cannot get small enough at full size, the picture is shrunk first and enlarged again after.
SCALES = (1, 2, 3, 4, 6, 8, 12, 16)


@dataclass(frozen=True, eq=False)
class Rival:
    """One frame through a conventional codec at no more bytes than ours.

    Attributes:
        image: (H, W, 3) uint8 RGB, decoded and enlarged to the frame's size.
        coded_bytes: what the codec needed.
        scale: 1 at full size; n means that the picture was shrunk n times a side to fit.
        smallest_bytes: the codec's smallest file of this frame at full size.
    """

    image: RgbImage
    coded_bytes: int
    scale: int
    smallest_bytes: int


@dataclass(frozen=True)
class StillCodec:
    """A conventional image codec that Pillow can run, by name and save options."""

    label: str
    pillow_format: str
    options: tuple[tuple[str, int], ...] = ()

    def encode(self, image: Image.Image, quality: int) -> bytes:
        """Return the bytes of `image` at a quality of 0 to 100."""
        buffer = io.BytesIO()
        image.save(buffer, self.pillow_format, quality=quality, **dict(self.options))
        return buffer.getvalue()


WEBP = StillCodec("WebP", "WEBP", (("method", 6),))
JPEG_XL = StillCodec("JPEG XL", "JXL")


def available_codecs() -> tuple[list[StillCodec], dict[str, str]]:
    """Return the codecs this machine can run, and for each of the others why it cannot."""
    try:
        import pillow_jxl  # noqa: F401 (registers the format with Pillow)
    except ImportError as error:
        return [WEBP], {JPEG_XL.label: f"skipped: pillow-jxl-plugin is not usable here ({error})"}
    return [WEBP, JPEG_XL], {}


def largest_fitting(encode: Callable[[int], bytes], budget_bytes: int) -> bytes | None:
    """Return the best quality's bytes that fit the budget, or None where quality 0 does not.

    Binary search: sizes grow with quality, nearly always; where they do not, the answer still fits.
    """
    best: bytes | None = None
    low, high = 0, 100
    while low <= high:
        quality = (low + high) // 2
        coded = encode(quality)
        if len(coded) <= budget_bytes:
            best, low = coded, quality + 1
        else:
            high = quality - 1
    return best


def at_same_bytes(codec: StillCodec, source: RgbImage, budget_bytes: int) -> Rival:
    """Return `source` as `codec` can show it in `budget_bytes`, shrinking it where nothing else helps.

    Where even the smallest scale does not fit, the smallest file at that scale is returned: over budget, and
    its `coded_bytes` says so.
    """
    picture = Image.fromarray(source)
    smallest = len(codec.encode(picture, 0))
    scale, coded = 1, b""
    for scale in SCALES:
        shrunk = picture if scale == 1 else _resized(picture, scale)
        found = largest_fitting(lambda quality, p=shrunk: codec.encode(p, quality), budget_bytes)  # type: ignore[misc]
        if found is not None:
            coded = found
            break
        coded = codec.encode(shrunk, 0)
    decoded = Image.open(io.BytesIO(coded)).convert("RGB").resize(picture.size, Image.Resampling.BICUBIC)
    return Rival(np.ascontiguousarray(decoded, dtype=np.uint8), len(coded), scale, smallest)


def _resized(picture: Image.Image, scale: int) -> Image.Image:
    """Return the picture, `scale` times smaller on each side."""
    size = (max(16, round(picture.width / scale)), max(16, round(picture.height / scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
