"""Our codec with everything that can be turned: side view, steps, threshold, caption."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from common.types import RgbImage


class Probe:
    """Encode once, decode in many ways; one frame at a time, the noise that of a frame of no stream."""

    def __init__(self, encoder: Any, decoder: Any, request: Any) -> None:
        """Take the two ends as they are; `load` makes them from a bundle.

        Args:
            encoder: an `edge.encoder.Encoder`.
            decoder: a `cloud.decoder.Decoder`.
            request: the class `cloud.decoder.DecodeRequest`.
        """
        self._encoder, self._decoder, self._request = encoder, decoder, request

    @classmethod
    def load(cls, bundle: str | None, device: str) -> tuple[Probe, dict[str, Any]]:
        """Return the codec of a bundle and what a report says about it."""
        from cloud.decoder import Decoder, DecodeRequest
        from common.bundle import Bundle
        from edge.encoder import Encoder

        loaded = Bundle.load(bundle)
        about = {
            "name": loaded.name,
            "id": loaded.hex,
            "qualities": loaded.codec.qualities,
            "trained_on": loaded.manifest.get("training", {}).get("note", ""),
        }
        return cls(Encoder(loaded), Decoder(loaded, device=device), DecodeRequest), about

    @property
    def takes_captions(self) -> bool:
        """Tell whether a request of this decoder can carry a caption."""
        return any(field.name == "caption" for field in dataclasses.fields(self._request))

    def packet(self, main: RgbImage, quality: int) -> bytes:
        """Return the packet of a (H, W, 3) uint8 RGB main view."""
        packet: bytes = self._encoder.encode(main, quality).packet
        return packet

    def decode(
        self,
        packet: bytes,
        shape: tuple[int, int],
        side: RgbImage | None,
        steps: int | None = None,
        threshold: float | None = None,
        caption: str | None = None,
        lossy: bool = False,
    ) -> Any:
        """Return the `DecodedFrame` of a packet.

        Args:
            packet: from `packet`.
            shape: height and width of the frame.
            side: the side view as the decoder has it, None without.
            steps: denoising steps; None is the bundle's own number.
            threshold: where the mask is cut (θ); None is the bundle's own.
            lossy: the side view went through a lossy codec; the decoder restores it.
            caption: handed to the decoder where given; None leaves the text to it.
        """
        more = {} if caption is None else {"caption": caption}
        request = self._request(
            packet=packet, height=shape[0], width=shape[1], side=side, steps=steps, side_lossy=lossy, **more
        )
        with self._cut_at(threshold):
            return self._decoder.decode(request)

    @contextlib.contextmanager
    def _cut_at(self, threshold: float | None) -> Iterator[None]:
        """Decode with another threshold than the bundle's: it is part of the model's configuration."""
        models = {id(one): one for one in (self._decoder.model, self._decoder.doubled, self._decoder.large)}
        owners = [] if threshold is None else [self._decoder, *models.values()]
        before = [owner.config for owner in owners]
        try:
            for owner in owners:
                owner.config = dataclasses.replace(owner.config, threshold=threshold)
            yield
        finally:
            for owner, config in zip(owners, before, strict=True):
                owner.config = config
