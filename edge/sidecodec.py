"""Code the side view with a conventional codec: WebP lossless, JPEG, HEVC (proto/TRANSPORT.md, section 4)."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np

from common.errors import FrameSizeError, InputError, MissingDependency, UsageError
from common.types import RgbImage, SideCodec

JPEG_QUALITY = 90
HEVC_CRF = 24
HEVC_KEYFRAME_INTERVAL = 30
_NAMES = {SideCodec.WEBP_LOSSLESS: "webp", SideCodec.JPEG: "jpeg", SideCodec.HEVC: "hevc"}


@dataclass(frozen=True)
class SideCodecSpec:
    """Choose a codec; `value` is the JPEG quality or the HEVC CRF, None for lossless."""

    codec: SideCodec
    value: int | None = None

    def __str__(self) -> str:
        return _NAMES[self.codec] + ("" if self.value is None else f":{self.value}")


@dataclass(frozen=True)
class CodedSide:
    """One coded side view; unless a keyframe, it needs the one coded before it."""

    data: bytes
    keyframe: bool


class SideEncoder(Protocol):
    """Turn side views into bytes, one call a frame, nothing held back."""

    def encode(self, image: RgbImage) -> CodedSide:
        """Code (H, W, 3) uint8 RGB."""

    def request_keyframe(self) -> None:
        """Make the next frame decodable by itself: one before it got lost."""

    def close(self) -> None:
        """Free the codec."""


def parse_side_codec(text: str) -> SideCodecSpec:
    """Read `webp`, `jpeg[:quality]` (1 to 100) or `hevc[:crf]` (0 to 51).

    Raises:
        UsageError: unknown name, or a value that does not belong there.
    """
    name, colon, number = text.partition(":")
    value = int(number) if number.isascii() and number.isdigit() else None
    if colon and value is None:
        raise UsageError(f"side codec {text!r}: {number!r} is not a number")
    if name == "webp" and not colon:
        return SideCodecSpec(SideCodec.WEBP_LOSSLESS)
    if name == "jpeg" and (value is None or 1 <= value <= 100):
        return SideCodecSpec(SideCodec.JPEG, JPEG_QUALITY if value is None else value)
    if name == "hevc" and (value is None or value <= 51):
        return SideCodecSpec(SideCodec.HEVC, HEVC_CRF if value is None else value)
    raise UsageError(f"side codec {text!r} is not webp, jpeg[:1..100] or hevc[:0..51]")


def open_side_encoder(spec: SideCodecSpec, fps: float = 10.0) -> SideEncoder:
    """Return an encoder for `spec`.

    Raises:
        MissingDependency: HEVC without PyAV.
    """
    if spec.codec is SideCodec.HEVC:
        return HevcSideEncoder(HEVC_CRF if spec.value is None else spec.value, fps)
    if spec.codec is SideCodec.WEBP_LOSSLESS and importlib.util.find_spec("av") is not None:
        return WebpSideEncoder()
    return StillSideEncoder(spec)


class StillSideEncoder:
    """Code every frame as a WebP (lossless) or JPEG file of its own."""

    def __init__(self, spec: SideCodecSpec) -> None:
        if spec.codec is SideCodec.WEBP_LOSSLESS:
            # OpenCV codes WebP without loss above quality 100.
            self._suffix, self._options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]
        else:
            quality = JPEG_QUALITY if spec.value is None else spec.value
            self._suffix, self._options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]

    def encode(self, image: RgbImage) -> CodedSide:
        """Code (H, W, 3) uint8 RGB.

        Raises:
            InputError: the codec refused the image.
        """
        try:
            done, data = cv2.imencode(self._suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), self._options)
        except cv2.error as error:
            raise InputError(
                f"side view of shape {image.shape} cannot be coded as {self._suffix}: {error.err}"
            ) from None
        if not done:
            raise InputError(f"side view of shape {image.shape} cannot be coded as {self._suffix}")
        return CodedSide(data.tobytes(), keyframe=True)

    def request_keyframe(self) -> None:
        """Do nothing: every frame is one."""

    def close(self) -> None:
        """Do nothing: no codec is held."""


class WebpSideEncoder:
    """Code every frame as a lossless WebP file through PyAV, at an effort that OpenCV does not offer.

    On a KITTI frame a quarter of the processor time of OpenCV for 3 % more bytes.
    """

    EFFORT = 1

    def __init__(self) -> None:
        import av

        self._av: Any = av
        self._context: Any = None
        self._size = (0, 0)

    def encode(self, image: RgbImage) -> CodedSide:
        """Code (H, W, 3) uint8 RGB.

        Raises:
            InputError: the codec refused the image.
        """
        av = self._av
        height, width = image.shape[:2]
        try:
            if self._size != (height, width):
                self._open(height, width)
            frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGRA), format="bgra")
            frame.pts = 0
            data = b"".join(bytes(packet) for packet in self._context.encode(frame))
        except (av.FFmpegError, cv2.error) as error:
            raise InputError(f"side view of shape {image.shape} cannot be coded as WebP: {error}") from None
        return CodedSide(data, keyframe=True)

    def request_keyframe(self) -> None:
        """Do nothing: every frame is one."""

    def close(self) -> None:
        """Drop the codec; nothing waits inside."""
        self._context, self._size = None, (0, 0)

    def _open(self, height: int, width: int) -> None:
        context = self._av.CodecContext.create("libwebp", "w")
        context.width, context.height, context.pix_fmt = width, height, "bgra"
        context.time_base = Fraction(1, 10)
        context.options = {"lossless": "1", "compression_level": str(self.EFFORT), "quality": "0"}
        self._context, self._size = context, (height, width)


class HevcSideEncoder:
    """Code frames with x265 through PyAV, without reordering or lookahead: frame in, access unit out."""

    def __init__(self, crf: int, fps: float) -> None:
        try:
            import av
        except ImportError:
            raise MissingDependency("av", "edge") from None
        self._av: Any = av
        self._crf = crf
        self._rate = Fraction(fps if fps > 0 else 10.0).limit_denominator(1000)
        self._context: Any = None
        self._size = (0, 0)
        self._count = 0
        self._want_keyframe = False

    def encode(self, image: RgbImage) -> CodedSide:
        """Code (H, W, 3) uint8 RGB; all frames must have one size.

        Raises:
            FrameSizeError: the size changed.
            InputError: the codec refused the frame.
        """
        height, width = image.shape[:2]
        if self._context is None:
            self._open(height, width)
        elif (height, width) != self._size:
            raise FrameSizeError(height, width, f"the side view was {self._size[0]}x{self._size[1]} before")
        av = self._av
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
            format="yuv420p"
        )
        frame.pts = self._count
        forced = self._want_keyframe
        if forced:
            frame.pict_type = av.video.frame.PictureType.I
        try:
            packets = list(self._context.encode(frame))
        except av.FFmpegError as error:
            raise InputError(f"side view of {height}x{width} cannot be coded as HEVC: {error}") from None
        self._count += 1
        if not packets:
            raise InputError(f"the HEVC encoder gave nothing for a side view of {height}x{width}")
        if forced:
            self._want_keyframe = False
        return CodedSide(b"".join(bytes(p) for p in packets), any(p.is_keyframe for p in packets))

    def request_keyframe(self) -> None:
        """Make the next frame a keyframe (IDR)."""
        self._want_keyframe = True

    def close(self) -> None:
        """Drop the codec; with no lookahead there is nothing to flush."""
        self._context = None

    def _open(self, height: int, width: int) -> None:
        context = self._av.CodecContext.create("libx265", "w")
        context.width, context.height = width + width % 2, height + height % 2
        context.pix_fmt = "yuv420p"
        context.framerate = self._rate
        context.time_base = 1 / self._rate
        context.options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "crf": str(self._crf),
            "forced-idr": "1",
            "x265-params": (
                f"keyint={HEVC_KEYFRAME_INTERVAL}:min-keyint=1:scenecut=0:bframes=0:rc-lookahead=0:"
                "repeat-headers=1:annexb=1:aud=0:info=0:frame-threads=1:pools=2:log-level=none"
            ),
        }
        self._context, self._size = context, (height, width)
