"""Our codec on one picture: real packets from the edge encoder, decoded by the cloud decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rd.monocular import monocular_disparity
from common.errors import UsageError
from common.types import RgbImage


@dataclass(frozen=True, eq=False)
class OurPicture:
    """Hold one picture of ours.

    Attributes:
        quality: the quality index.
        packet_bytes: the packet with its header, as the stream sends it.
        image: (H, W, 3) uint8 RGB, rebuilt.
        mask: (H, W) float32 in [0, 1]: how much of each pixel came from the side view.
        payload_bytes: the packet without its header: the range coder's bytes.
        information_bits: what the coded symbols weigh by the integer tables, the sum of -log2 p.
        disparity: (H, W) float32 pixels, where the decoder found the main view in the side view.
        warped: (H, W, 3) uint8 RGB, the side view moved by it.
        encode_ms: the encoder's stages.
        decode_ms: the decoder's stages.
    """

    quality: int
    packet_bytes: int
    image: RgbImage
    mask: NDArray[np.float32]
    payload_bytes: int
    information_bits: float
    disparity: NDArray[np.float32]
    warped: RgbImage
    encode_ms: dict[str, float]
    decode_ms: dict[str, float]


class Ours:
    """Encode and decode with one bundle."""

    name, label = "mdic", "MDIC (ours)"
    noside_name, noside_label = "mdic-noside", "MDIC without side view"

    def __init__(self, encoder: Any, decoder: Any, request: Any, steps: int | None = None) -> None:
        """Take the two ends as they are; `load` makes them from a bundle.

        Args:
            encoder: an `edge.encoder.Encoder`.
            decoder: a `cloud.decoder.Decoder`.
            request: the class `cloud.decoder.DecodeRequest`.
            steps: denoising steps; None means the bundle's own number.
        """
        self._encoder, self._decoder, self._request, self._steps = encoder, decoder, request, steps

    @classmethod
    def load(cls, bundle: str | None, device: str, steps: int | None) -> tuple[Ours, dict[str, Any]]:
        """Return the codec of a bundle and what a report says about it: name, id, qualities."""
        from cloud.decoder import Decoder, DecodeRequest
        from common.bundle import Bundle
        from edge.encoder import Encoder

        loaded = Bundle.load(bundle)
        about = {"name": loaded.name, "id": loaded.hex, "qualities": loaded.codec.qualities, "steps": steps}
        return cls(Encoder(loaded), Decoder(loaded, device=device), DecodeRequest, steps), about

    def code(
        self, main: RgbImage, side: RgbImage | None, qualities: Sequence[int], lossy: bool = False
    ) -> list[OurPicture]:
        """Return (H, W, 3) uint8 RGB `main` at each quality; `side` None decodes without it, a `lossy` one restored."""
        height, width = main.shape[:2]
        encoded = [self._encoder.encode(main, quality) for quality in qualities]
        requests = [
            self._request(
                packet=frame.packet,
                height=height,
                width=width,
                side=side,
                steps=self._steps,
                side_lossy=lossy,
            )
            for frame in encoded
        ]
        # One at a time, as `mdic-cloud decode` does: times are a frame's own; a batch may round otherwise.
        decoded = [self._decoder.decode(request) for request in requests]
        return [
            OurPicture(
                quality=quality,
                packet_bytes=len(frame.packet),
                image=rebuilt.image,
                mask=rebuilt.mask,
                payload_bytes=len(frame.coded.payload),
                information_bits=self._encoder.codec.entropy_bits(
                    frame.coded.symbols, frame.view.quality, frame.view.contexts
                ),
                disparity=rebuilt.disparity,
                warped=rebuilt.warped,
                encode_ms=dict(frame.ms),
                decode_ms=dict(rebuilt.ms),
            )
            for quality, frame, rebuilt in zip(qualities, encoded, decoded, strict=True)
        ]

    def seen(self, side: RgbImage, lossy: bool) -> RgbImage:
        """Return the side view as the decoder's networks see it: a lossy one restored."""
        if not lossy or self._decoder.restorer is None:
            return side
        from cloud.restoration.network import restore

        return restore(self._decoder.restorer, side)

    def prior(self, side: RgbImage) -> NDArray[np.float32]:
        """Return the disparity guessed from the side view alone, (H, W) float32 pixels: it costs no bits."""
        return monocular_disparity(self._encoder, self._decoder, self._request, side)


def parse_qualities(text: str | None, available: int) -> tuple[int, ...]:
    """Read `0,2,4,7`; None means every quality of the bundle.

    Raises:
        UsageError: not numbers, or not qualities of the bundle.
    """
    if text is None:
        return tuple(range(available))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) < available for part in parts):
        raise UsageError(
            f"--qualities {text!r}: expected numbers from 0 to {available - 1}, separated by commas"
        )
    return tuple(sorted({int(part) for part in parts}))


def thin(qualities: Sequence[int]) -> tuple[int, ...]:
    """Return the first, the middle and the last quality: enough to show what the side view is worth."""
    return tuple(sorted({qualities[0], qualities[len(qualities) // 2], qualities[-1]}))
