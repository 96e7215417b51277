"""Our codec on a drive: packets of the edge encoder, decoded frame by frame with the side view that arrived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sequence.clip import RATE_HZ
from benchmarks.sequence.lowdelay import CodedVideo, Progress
from benchmarks.sequence.store import code_fingerprint
from common.types import RgbImage

NAME, LABEL = "mdic", "MDIC (ours)"
STREAM = "sequence"
"""Seeds the sampler's noise together with the frame's number, as a vehicle's name does in the stream."""
_ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "cloud/decoder.py",
    "cloud/temporal",
    "cloud/text",
    "cloud/models",
    "cloud/restoration",
    "cloud/diffusion",
    "edge/encoder.py",
)


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """Hold a decoded frame, as much of it as temporal fusion needs.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) float32 in [0, 1].
        disparity: (H, W) float32 pixels.
        ms: milliseconds per stage.
    """

    image: RgbImage
    mask: NDArray[np.float32]
    disparity: NDArray[np.float32]
    ms: dict[str, float]


class SequenceCoder:
    """Encode and decode with one bundle."""

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        request: Any,
        steps: int | None = None,
        fusion: Callable[[], Any] | None = None,
    ) -> None:
        """Take the two ends as they are; `load` makes them from a bundle.

        Args:
            encoder: an `edge.encoder.Encoder`.
            decoder: a `cloud.decoder.Decoder`.
            request: the class `cloud.decoder.DecodeRequest`.
            steps: denoising steps; None means the bundle's own number.
            fusion: makes what mends a stream over time; None means `cloud.temporal`'s, as the cloud serves it.
        """
        self._fusion = fusion
        self._encoder, self._decoder, self._request, self._steps = encoder, decoder, request, steps

    @classmethod
    def load(cls, bundle: str | None, device: str, steps: int | None) -> tuple[SequenceCoder, dict[str, Any]]:
        """Return the codec of a bundle and what a report says about it: name, id, qualities, steps."""
        from cloud.decoder import Decoder, DecodeRequest
        from common.bundle import Bundle
        from edge.encoder import Encoder

        loaded = Bundle.load(bundle)
        about = {"name": loaded.name, "id": loaded.hex, "qualities": loaded.codec.qualities, "steps": steps}
        return cls(Encoder(loaded), Decoder(loaded, device=device), DecodeRequest, steps), about

    def encode(
        self, images: Sequence[RgbImage], quality: int, progress: Progress | None = None
    ) -> CodedVideo:
        """Return a packet for each (H, W, 3) uint8 RGB frame; packets count whole, header included."""
        packets = []
        for image in images:
            packets.append(self._encoder.encode(image, quality).packet)
            if progress:
                progress(1)
        return CodedVideo(packets, [len(packet) for packet in packets])

    def decode(self, packet: bytes, frame: int, side: RgbImage, lossy: bool = True) -> Rebuilt:
        """Rebuild one frame from its packet and its side view alone.

        Args:
            packet: the frame's packet.
            frame: its number in the drive.
            side: (H, W, 3) uint8 RGB, the side view as it arrived through its codec; the frame has its size.
            lossy: whether that codec loses anything.
        """
        height, width = side.shape[:2]
        request = self._request(
            packet=packet,
            height=height,
            width=width,
            side=side,
            stream=STREAM,
            frame=frame,
            steps=self._steps,
            side_lossy=lossy,
        )
        decoded = self._decoder.decode(request)
        return Rebuilt(decoded.image, decoded.mask, decoded.disparity, dict(decoded.ms))

    def mending(self) -> Mending:
        """Return what mends the frames of one drive over time, from its first frame on."""
        if self._fusion is not None:
            return Mending(self._fusion())
        from cloud.temporal.stream import TemporalFusion

        return Mending(TemporalFusion())


class Mending:
    """Temporal fusion of a drive; every frame must come, in order."""

    def __init__(self, fusion: Any) -> None:
        self._fusion = fusion

    def step(self, rebuilt: Rebuilt, frame: int, side: RgbImage) -> RgbImage:
        """Return the frame's picture, (H, W, 3) uint8 RGB, mended with the frame before."""
        image: RgbImage = self._fusion.step(rebuilt, frame, round(frame * 1e9 / RATE_HZ), side).image
        return image


def decoder_fingerprint() -> str:
    """Return what stands for the code that a reconstruction depends on, beside the bundle."""
    return code_fingerprint(_ROOT / part for part in _CODE)
