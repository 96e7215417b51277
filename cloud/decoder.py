"""The cloud decoder: packets and side information to images. Orchestration only; the networks are in cloud.models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloud.diffusion.sampler import MAX_STEPS, frame_noise
from cloud.models.codec import Codec, Decoded
from cloud.models.framing import Framed, frame
from cloud.models.pattern import without_pattern
from cloud.models.refiner import Refiner, intervals
from cloud.models.relighting import relight
from cloud.networks import DOUBLED, LARGE, large_from, load_added, load_codec, load_refiner, shares
from cloud.pictures import fitted, to_bytes, to_planes
from cloud.restoration.network import Restorer, load_restorer, restore
from cloud.text.captioner import Captioner, TaggerCaptioner
from cloud.text.vocabulary import Tags
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.entropy.illumination import Illumination
from common.entropy.latents import LatentCodec
from common.entropy.refinement import Refinement
from common.errors import UsageError
from common.luma import BLOCK
from common.resampling import CodedView

SMALLEST_SIDE = 64
LEAST_TRUST = 0.25
"""A frame that takes less than this from its side view, in the mean, is decoded again without: the view shows another
place, and what little is taken from it only does harm (docs/decisions/0011). The right view, or one that is stale or
coded badly, is above 0.5."""
LEAST_TRUST_DOUBLED = 0.35
"""The same for frames coded at double size: from quality 5 on wrong views of real roads get up to 0.29, the right one
0.70 or more (docs/decisions/0025), and one two frames old in a turn had 0.44 (docs/decisions/0023). At quality 4 a
wrong view gets up to 0.45 and may be let in."""


@dataclass(frozen=True, eq=False)
class DecodeRequest:
    """Everything one frame's decoding depends on; nothing else does.

    Attributes:
        packet: the frame's packet.
        height, width: of the frame, from the session or the container.
        side: (H', W', 3) uint8 RGB side view, or None; another size than the frame's is resized.
        previous: (H, W, 3) uint8, the last reconstruction: stands in for a missing side view.
        stream, frame: seed of the sampler's noise.
        steps: denoising steps; None takes the bundle's own number.
        caption: what the side view shows, in words of the vocabulary (cloud.text); None asks the tagger.
        side_lossy: a lossy codec has been over `side`: its traces are taken out first (cloud.restoration).
    """

    packet: bytes
    height: int
    width: int
    side: NDArray[np.uint8] | None
    previous: NDArray[np.uint8] | None = None
    stream: str = ""
    frame: int = 0
    steps: int | None = None
    caption: str | None = None
    side_lossy: bool = False


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A rebuilt frame and what is known of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) float32 in [0, 1]: how far each pixel comes from the side view (the paper's m_v).
        disparity: (H, W) float32 pixels; meaningless where the mask is 0.
        warped: (H, W, 3) uint8, the side view moved onto the main one.
        caption: what was taken for text, in words; empty where the bundle uses none or nothing was recognised.
        ms: milliseconds per stage: entropy, network, total (network and total of the whole batch).
        side_restored: the side view was lossy, and its codec's traces were taken out first.
        side_refused: the side view shows another place and was left out; the mask is 0.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.float32]
    disparity: NDArray[np.float32]
    warped: NDArray[np.uint8]
    ms: dict[str, float]
    caption: str = ""
    side_refused: bool = False
    side_restored: bool = False


class Coded(NamedTuple):
    """What a packet says.

    y_hat: (C, h, w) float32. quality: the packet's. latents: the quality whose latents it carries. refinement: luma
    coefficients, at qualities that have them. view: the size of the picture they stand for, and the codec's quality.
    light: the picture's longest waves, with bundles that have them.
    """

    y_hat: NDArray[np.float32]
    quality: int
    latents: int
    refinement: Refinement | None
    view: CodedView
    light: Illumination | None = None


class Decoder:
    """Decode frames with one bundle on one device. Not thread-safe; one decoder a worker."""

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        threads: int | None = None,
        captioner: Captioner | None = None,
        restores: bool = True,
    ) -> None:
        """Load the bundle's networks.

        Args:
            bundle: an opened bundle.
            device: "auto", "cpu" or "cuda".
            threads: torch's intra-op threads on the CPU; None leaves them as they are.
            captioner: names what the side view shows; None takes the bundled tagger.
            restores: take the codec's traces out of lossy side views, with the restorer that is beside the bundles.

        Raises:
            BundleCorrupt: if a file is damaged or does not fit the manifest.
            UsageError: if CUDA is asked for and not there.
        """
        if threads:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device == "cuda" and not torch.cuda.is_available():
            raise UsageError("device cuda was asked for, and torch sees no CUDA device here")
        self.bundle, self.device = bundle, torch.device(device)
        self.codec = LatentCodec.of(bundle)
        self.model = load_codec(bundle, self.device)
        self.config = self.model.config
        self.doubled = load_added(bundle, self.model, DOUBLED)  # for frames coded at double size
        self.large, self.large_from = load_added(bundle, self.model, LARGE), large_from(bundle)
        self.refiner: Refiner | None = None
        if self.codec.refinement is not None:
            self.refiner = load_refiner(bundle, self.device)
            self.shares = torch.tensor(shares(bundle), device=self.device)
        self.captioner = (captioner or TaggerCaptioner()) if self.config.text else None
        self.restorer: Restorer | None = load_restorer(device=self.device) if restores else None

    def decode(self, request: DecodeRequest) -> DecodedFrame:
        """Decode one frame; see `decode_batch`."""
        return self.decode_batch([request])[0]

    def decode_batch(self, requests: Sequence[DecodeRequest]) -> list[DecodedFrame]:
        """Decode frames, those of one size, coded size and step count together.

        Raises:
            BitstreamError: if a packet is damaged or foreign; the class says how.
            UsageError: if a step count is out of range.
        """
        results: dict[int, DecodedFrame] = {}
        groups: dict[tuple[int, ...], list[int]] = {}
        told: list[tuple[Coded, float]] = []
        for index, request in enumerate(requests):
            steps = self.config.steps if request.steps is None else request.steps
            if not 1 <= steps <= MAX_STEPS:
                raise UsageError(f"steps must be 1 to {MAX_STEPS}, got {steps}")
            start = time.perf_counter()
            coded = self.coded(request.packet, request.height, request.width)
            told.append((coded, (time.perf_counter() - start) * 1e3))
            size = (request.height, request.width, coded.view.height, coded.view.width)
            groups.setdefault((*size, steps), []).append(index)
        for (*_, steps), indices in groups.items():
            entropy_ms = sum(told[i][1] for i in indices)
            frames = self._group(
                [requests[i] for i in indices], [told[i][0] for i in indices], steps, entropy_ms
            )
            results.update(zip(indices, frames, strict=True))
        return [results[index] for index in range(len(requests))]

    def coded(self, packet: bytes, height: int, width: int) -> Coded:
        """Return what a packet of a frame of this size says: the entropy decoder alone.

        Raises:
            BitstreamError: if the packet is damaged or foreign.
        """
        parsed = Packet.parse(packet, SessionFacts(self.bundle.id, height, width))
        view = self.bundle.coded_view(parsed.quality, height, width)
        y_hat, symbols = self.codec.decode(
            parsed.payload, view.quality, view.latent_height, view.latent_width, view.waves, view.contexts
        )
        latents = self.codec.latent_quality(view.quality)
        return Coded(y_hat, parsed.quality, latents, symbols.refinement, view, symbols.illumination)

    def _own(self, size: tuple[int, int], coded: tuple[int, int]) -> Codec:
        """Return the network for a frame that is not coded at double size."""
        return self.large if size == coded and size[0] * size[1] >= self.large_from else self.model

    def _group(
        self, requests: list[DecodeRequest], coded: list[Coded], steps: int, entropy_ms: float
    ) -> list[DecodedFrame]:
        """Decode frames of one size, coded at one size."""
        start = time.perf_counter()
        size, view = (requests[0].height, requests[0].width), coded[0].view
        height, width = view.height, view.width
        y_hat = torch.from_numpy(np.stack([one.y_hat for one in coded])).to(self.device)
        quality = torch.tensor([one.latents for one in coded], device=self.device)
        rows, columns = y_hat.shape[2] * 16, y_hat.shape[3] * 16
        sides = [self._side(request) for request in requests]
        present = torch.tensor([float(side is not None) for side in sides], device=self.device)
        whole = [None if one is None else fitted(one, *size) for one in sides]
        side = torch.cat([to_planes(one, (height, width), (rows, columns), self.device) for one in whole])
        shape = (self.config.diffusion_channels, rows // 8, columns // 8)
        noise = torch.stack([frame_noise(r.stream, r.frame, shape) for r in requests]).to(self.device)
        tags = [self._tags(request, view) for request, view in zip(requests, sides, strict=True)]
        presence = torch.from_numpy(np.stack([t.presence for t in tags])).to(self.device)
        doubled = width > size[1]
        model = self.doubled if doubled else self._own(size, (height, width))
        with torch.inference_mode():
            out = model.decode(y_hat, quality, side, present, noise, steps, tags=presence)
            trust = out.blend.mask[:, :, :height, :width].float().mean((1, 2, 3))
            refused = (present > 0) & (trust < (LEAST_TRUST_DOUBLED if doubled else LEAST_TRUST))
            if self.config.mask and bool(refused.any()):
                again = model.decode(
                    y_hat[refused],
                    quality[refused],
                    torch.zeros_like(side[refused]),
                    torch.zeros_like(present[refused]),
                    noise[refused],
                    steps,
                    tags=torch.zeros_like(presence[refused]),
                )
                out = out.replaced(again, refused)
            painted = _all_painted(out.blend.image.float(), (present == 0) | refused)
            rebuilt = Framed(
                self._refined(out, painted, coded)[..., :height, :width],
                out.geometry.warped[..., :height, :width].float(),
                out.blend.mask[..., :height, :width].float(),
                out.geometry.disparity[..., :height, :width].float(),
            )
            if size != (height, width):
                views = torch.cat([to_planes(one, size, size, self.device) for one in whole])
                rebuilt = frame(rebuilt, views * 2 - 1, self.config.kernel, self.config.upright)
            images = to_bytes(relight(rebuilt.image, [one.light for one in coded]))
            warped = to_bytes(rebuilt.warped)
            mask = rebuilt.mask[:, 0].cpu().numpy()
            disparity = rebuilt.disparity[:, 0].cpu().numpy()
        network_ms = (time.perf_counter() - start) * 1e3
        ms = {"entropy": entropy_ms, "network": network_ms, "total": entropy_ms + network_ms}
        return [
            DecodedFrame(
                images[i],
                mask[i],
                disparity[i],
                warped[i],
                dict(ms),
                "" if refused[i] else tags[i].caption(),
                bool(refused[i]),
                self._restores(requests[i]),
            )
            for i in range(len(requests))
        ]

    def _refined(self, out: Decoded, image: Tensor, coded: list[Coded]) -> Tensor:
        """Return the pictures (B, 3, H, W) in [-1, 1], moved and painted within what their refinements allow.

        A frame without a refinement has no bounds to be kept in, and is better for it all the same.
        """
        if self.refiner is None:
            return image
        blocks = coded[0].y_hat.shape[1:]
        told = [one.refinement or Refinement.nothing(*blocks) for one in coded]
        refined: Tensor = self.refiner(
            image.clamp(-1, 1),
            out.geometry.warped.float().clamp(-1, 1),
            out.blend.mask.float(),
            *intervals(told, self.device),
            self.shares[[one.view.quality for one in coded]].view(-1, 1, 1, 1),
        )
        return refined

    def _side(self, request: DecodeRequest) -> NDArray[np.uint8] | None:
        """Return the view to decode with, a lossy side view restored."""
        view = side_information(request)
        if self.restorer is None or view is None or not self._restores(request):
            return view
        return restore(self.restorer, view)

    def _restores(self, request: DecodeRequest) -> bool:
        return self.restorer is not None and request.side is not None and request.side_lossy

    def _tags(self, request: DecodeRequest, view: NDArray[np.uint8] | None) -> Tags:
        """Return the text of a request: its caption, else what the captioner sees in the side view."""
        if self.captioner is None:
            return Tags.none()
        if request.caption is not None:
            return Tags.from_caption(request.caption).tags
        # A thumbnail tells the tagger nothing.
        if view is None or min(view.shape[:2]) < SMALLEST_SIDE:
            return Tags.none()
        return self.captioner.tags(view)


def side_information(request: DecodeRequest) -> NDArray[np.uint8] | None:
    """Return the view to decode with: the side view, else the previous reconstruction, else None."""
    return request.side if request.side is not None else request.previous


def _all_painted(images: Tensor, alone: Tensor) -> Tensor:
    """Return images (B, 3, H, W); from those without any side view (B,) the grid of their latents is taken out."""
    if not bool(alone.any()):
        return images
    return torch.where(alone.view(-1, 1, 1, 1), without_pattern(images, BLOCK), images)
