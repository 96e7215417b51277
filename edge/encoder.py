"""The edge encoder: an image to a packet, by ONNX Runtime and the integer entropy coder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.bundle import Bundle
from common.entropy.latents import LatentCodec, LatentPayload
from common.errors import BundleCorrupt, FrameSizeError, MissingDependency, UsageError
from common.illumination import illumination
from common.luma import coefficients, luma
from common.resampling import CodedView, resample


@dataclass(frozen=True)
class EncodedFrame:
    """A coded frame.

    Attributes:
        packet: what the stream sends, its header included.
        height, width: of the frame in pixels.
        quality: index 0 (fewest bits) to 7.
        ms: milliseconds per stage: preprocess, transform, entropy, total.
        coded: what went into the packet: symbols and the latents as the decoder will see them.
        view: the size of the picture that they stand for, and the codec's quality.
    """

    packet: bytes
    height: int
    width: int
    quality: int
    ms: dict[str, float]
    coded: LatentPayload
    view: CodedView

    @property
    def bpp(self) -> float:
        """Return packet bits per pixel."""
        return len(self.packet) * 8 / (self.height * self.width)


class Encoder:
    """Encode main views with one bundle. Not thread-safe; one encoder a thread."""

    def __init__(self, bundle: Bundle, threads: int = 0, providers: Sequence[str] | None = None) -> None:
        """Open the bundle's encoder.

        Args:
            bundle: an opened bundle.
            threads: ONNX Runtime's intra-op threads; 0 lets it choose.
            providers: ONNX Runtime execution providers, best first; by default CUDA where it is there, then CPU.

        Raises:
            BundleCorrupt: if a file is damaged or ONNX Runtime refuses the graph.
            MissingDependency: if onnxruntime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as why:
            raise MissingDependency("onnxruntime", "edge") from why
        self.bundle = bundle
        self.codec = LatentCodec.of(bundle)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if providers is None:
            known = onnxruntime.get_available_providers()
            providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
        path = bundle.file("encoder.onnx")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        except Exception as why:
            raise BundleCorrupt(path, f"onnxruntime: {why}") from why

    def session(self, height: int, width: int) -> SessionFacts:
        """Return the facts a stream of frames of this size shares.

        Raises:
            FrameSizeError: if the size is outside 64 to 4096.
        """
        return SessionFacts(self.bundle.id, height, width)

    def view(self, image: NDArray[np.uint8], quality: int) -> CodedView:
        """Return the size that an image (H, W, 3) is coded at, and the codec's quality."""
        return self.bundle.coded_view(quality, *image.shape[:2])

    def latents(
        self, image: NDArray[np.uint8], quality: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (y, z) of an image (H, W, 3) uint8 RGB: (C, h/16, w/16) and (Z, h/64, w/64), padded, unrounded.

        h and w are of the picture that is coded (`view`).
        """
        view = self.view(image, quality)
        return self._transform(self._padded(image, view), view.quality)

    def coefficients(self, image: NDArray[np.uint8], quality: int) -> NDArray[np.float32] | None:
        """Return the luma coefficients (h/16, w/16, 16, 16) of an image (H, W, 3), padded; None if not refined."""
        view = self.view(image, quality)
        return self._coefficients(self._padded(image, view), view.quality)

    def light(self, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Return the waves (K,) of an image (H, W, 3) that packets say; None if the bundle has none."""
        codec = self.codec.illumination
        return None if codec is None else illumination(image, codec.waves)

    def _padded(self, image: NDArray[np.uint8], view: CodedView) -> NDArray[np.uint8]:
        return pad(resample(image, view.height, view.width), self.bundle.codec.pad_multiple)

    def _coefficients(self, padded: NDArray[np.uint8], quality: int) -> NDArray[np.float32] | None:
        return coefficients(luma(padded)) if self.codec.is_refined(quality) else None

    def _transform(
        self, padded: NDArray[np.uint8], quality: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        feeds = {"image": padded[None], "quality": np.array([self.codec.latent_quality(quality)], np.int64)}
        y, z = self._session.run(["y", "z"], feeds)
        return y[0], z[0]

    def encode(self, image: NDArray[np.uint8], quality: int) -> EncodedFrame:
        """Encode one frame.

        Args:
            image: (H, W, 3) uint8 RGB, each side 64 to 4096.
            quality: 0 (fewest bits) to 7.

        Raises:
            FrameSizeError: if the image's shape is not as above.
            UsageError: if there is no such quality.
        """
        check_image(image)
        if not 0 <= quality < self.bundle.codec.qualities:
            raise UsageError(f"quality {quality} is not in 0..{self.bundle.codec.qualities - 1}")
        height, width = image.shape[:2]
        session = self.session(height, width)
        start = time.perf_counter()
        view = self.view(image, quality)
        padded = self._padded(image, view)
        ready = time.perf_counter()
        y, z = self._transform(padded, view.quality)
        transformed = time.perf_counter()
        coefficients = self._coefficients(padded, view.quality)
        light = self.light(image)
        coded = self.codec.encode(y, z, view.quality, coefficients, light, view.waves, view.contexts)
        packet = Packet(quality, coded.payload).serialize(session)
        end = time.perf_counter()
        ms = {
            "preprocess": (ready - start) * 1e3,
            "transform": (transformed - ready) * 1e3,
            "entropy": (end - transformed) * 1e3,
            "total": (end - start) * 1e3,
        }
        return EncodedFrame(packet, height, width, quality, ms, coded, view)


def check_image(image: NDArray[np.uint8]) -> None:
    """Check that an image is (H, W, 3) uint8 of an allowed size.

    Raises:
        FrameSizeError: if it is not.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        height, width = (*image.shape, 0, 0)[:2]
        raise FrameSizeError(height, width, f"expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    SessionFacts(bytes(8), *image.shape[:2])


def pad(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Repeat the last row and column until both sides are multiples of `multiple`."""
    bottom, right = (-side % multiple for side in image.shape[:2])
    if not bottom and not right:
        return np.ascontiguousarray(image)
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


__all__ = ["EncodedFrame", "Encoder", "FrameSizeError", "check_image", "pad"]
