"""The zero-bit prior: disparity that the decoder guesses from the side view alone, and the warp it gives.

The geometry core begins with a guess that sees nothing but the side view (stride 16); everything after it matches the
decoded latents. To be sure that no bit of the main view takes part, it is read while the decoder works on a packet of a
black picture, which ends there.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.controls import warp
from common.errors import MdicError
from common.types import RgbImage

STRIDE = 16


class _Guessed(Exception):
    """Ends a decoding: what was wanted of it is there."""


def monocular_disparity(encoder: Any, decoder: Any, request: Any, side: RgbImage) -> NDArray[np.float32]:
    """Return the prior's disparity for every pixel of the main view, (H, W) float32 pixels, at no bits.

    Args:
        encoder: an `edge.encoder.Encoder`.
        decoder: a `cloud.decoder.Decoder`.
        request: the class `cloud.decoder.DecodeRequest`.
        side: (H, W, 3) uint8 RGB as the decoder has it.

    Raises:
        MdicError: the decoder has no geometry core that is given a prior.
    """
    height, width = side.shape[:2]
    quality = next(q for q in range(8) if encoder.bundle.coded_view(q, height, width).width == width)
    packet = encoder.encode(np.zeros_like(side), quality).packet
    caught: list[Any] = []
    # A bundle may have other weights for large frames: whichever network decodes this one is asked.
    networks = [getattr(decoder, name, None) for name in ("model", "large")]
    found = [getattr(network, "geometry", None) for network in networks]
    cores = {id(core): core for core in found if core is not None}
    if not cores:
        raise MdicError("this decoder has no geometry core: its monocular prior cannot be measured")

    def stop(_module: Any, inputs: tuple[Any, ...]) -> None:
        caught.append(inputs[2] * STRIDE)  # (h, side features, prior in positions)
        raise _Guessed

    handles = [core.match16.register_forward_pre_hook(stop) for core in cores.values()]
    try:
        decoder.decode(request(packet=packet, height=height, width=width, side=side))
    except _Guessed:
        pass
    finally:
        for handle in handles:
            handle.remove()
    if not caught:
        raise MdicError("the decoder went past its geometry core: its monocular prior cannot be measured")
    coarse = caught[-1][0, 0].detach().float().cpu().numpy()
    return at_full_resolution(coarse, height, width)


def at_full_resolution(coarse: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Interpolate (h, w) values at stride 16 to pixels, the decoder's padding cut off: (height, width) float32."""
    size = (coarse.shape[1] * STRIDE, coarse.shape[0] * STRIDE)
    fine = cv2.resize(np.ascontiguousarray(coarse, dtype=np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(fine[:height, :width])


def monocular_warp(side: RgbImage, disparity: NDArray[np.float32]) -> RgbImage:
    """Return the side view moved by the prior: bilinear, edges repeated, as the oracle's warp."""
    return warp(side, disparity)
