"""Decoding of the side view's conventional codec: WebP, JPEG and HEVC.

Sizes are checked against the session's before a decoder sees the bytes (`imageheader`), and again afterwards.
WebP and JPEG frames stand alone. HEVC is a stream: a decoder keeps state, a frame whose reference was lost
cannot be used, and decoding starts again at the next keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from cloud.pairing import SideView
from cloud.sideinfo.imageheader import hevc_sizes, image_is_lossy, jpeg_size, webp_size
from common.errors import BitstreamError, CorruptPayload, FrameSizeError, MissingDependency
from common.types import RgbImage, SideCodec

_HEVC_BLOCK = 64
"""Largest coding block: the coded size exceeds the shown one by less than this."""
_MAX_WAITING = 64
"""Frames an HEVC decoder may hold back; more means a stream that never shows anything."""


@dataclass(frozen=True)
class SidePacket:
    """Hold one side frame as received; fields as in `SideFrame` of proto/ingest.proto."""

    seq: int
    capture_ns: int
    data: bytes
    keyframe: bool = True
    reference_seq: int | None = None


class SideDecoder(Protocol):
    """Turn side packets, in order, into side views; not for two threads at once."""

    def decode(self, packet: SidePacket) -> list[SideView]:
        """Return the views that became ready, oldest first.

        Raises:
            BitstreamError: the packet cannot be used; later ones still may.
            FrameSizeError: it holds another size than the session announced.
        """
        ...

    def flush(self) -> list[SideView]:
        """Return the views still held back and start anew."""
        ...


def open_side_decoder(codec: SideCodec, height: int, width: int) -> SideDecoder:
    """Return a decoder for side views of (height, width, 3).

    Raises:
        MissingDependency: HEVC without PyAV.
    """
    if codec is SideCodec.HEVC:
        return HevcDecoder(height, width)
    return ImageDecoder(jpeg_size if codec is SideCodec.JPEG else webp_size, height, width)


def decode_image(
    data: bytes, size_of: Callable[[bytes], tuple[int, int]], height: int, width: int
) -> RgbImage:
    """Return the (height, width, 3) uint8 RGB image in `data` after checking its announced size.

    Raises:
        BitstreamError: `data` does not decode.
        FrameSizeError: it is of another size.
    """
    _check_size(size_of(data), height, width)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise CorruptPayload(f"side view does not decode: {error.err}") from error
    if bgr is None:
        raise CorruptPayload(f"side view of {len(data)} bytes does not decode")
    _check_size(bgr.shape[:2], height, width)
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _check_size(got: tuple[int, ...], height: int, width: int) -> None:
    if (got[0], got[1]) != (height, width):
        raise FrameSizeError(got[0], got[1], f"the session announced side views of {height}x{width}")


class ImageDecoder:
    """Decode side views that stand alone (WebP, JPEG)."""

    def __init__(self, size_of: Callable[[bytes], tuple[int, int]], height: int, width: int) -> None:
        self._size_of, self._height, self._width = size_of, height, width

    def decode(self, packet: SidePacket) -> list[SideView]:
        """Return the one view of `packet`."""
        image = decode_image(packet.data, self._size_of, self._height, self._width)
        return [SideView(packet.capture_ns, image, image_is_lossy(packet.data))]

    def flush(self) -> list[SideView]:
        """Return nothing: images are never held back."""
        return []


class HevcDecoder:
    """Decode an HEVC side view; waits for a keyframe at the start and after each break."""

    def __init__(self, height: int, width: int) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingDependency("av", "cloud") from error
        self._av: Any = av
        self._height, self._width = height, width
        self._context: Any = None
        self._last_seq = -1
        self._waiting: dict[int, int] = {}  # presentation number -> capture_ns

    def decode(self, packet: SidePacket) -> list[SideView]:
        """Return the views that became ready, oldest first.

        Raises:
            BitstreamError: the packet is corrupt, or refers to one that was lost.
            FrameSizeError: it announces another size than the session.
        """
        for coded_height, coded_width in hevc_sizes(packet.data):
            spare = (coded_height - self._height, coded_width - self._width)
            if min(spare) < 0 or max(spare) >= _HEVC_BLOCK:
                _check_size((coded_height, coded_width), self._height, self._width)
        if packet.keyframe:
            ready = self.flush() if self._context is not None and self._waiting else []
            if self._context is None:
                self._context = self._open()
        else:
            ready = []
            expected = self._last_seq if packet.reference_seq is None else packet.reference_seq
            if self._context is None or expected != self._last_seq:
                self._reset()
                raise CorruptPayload(
                    f"side frame {packet.seq} refers to one that was lost; waiting for a keyframe"
                )
        if self._context is None:
            self._context = self._open()
        try:
            ready += self._feed(packet)
        except (BitstreamError, FrameSizeError):
            self._reset()
            raise
        self._last_seq = packet.seq
        return ready

    def flush(self) -> list[SideView]:
        """Return the views still held back and wait for the next keyframe."""
        if self._context is None:
            return []
        try:
            return self._views(None)
        except (BitstreamError, FrameSizeError):
            return []  # the end of a broken stream: nothing more to show
        finally:
            self._reset()

    def _feed(self, packet: SidePacket) -> list[SideView]:
        if len(self._waiting) >= _MAX_WAITING:
            raise CorruptPayload(f"side view: HEVC stream shows nothing after {len(self._waiting)} frames")
        coded = self._av.Packet(packet.data)
        coded.pts = coded.dts = packet.seq
        self._waiting[packet.seq] = packet.capture_ns
        return self._views(coded)

    def _views(self, coded: Any) -> list[SideView]:
        try:
            frames = self._context.decode(coded)
        except self._av.FFmpegError as error:
            raise CorruptPayload(f"side view does not decode: {error}") from error
        views = []
        for frame in frames:
            capture_ns = self._waiting.pop(frame.pts, None) if frame.pts is not None else None
            if capture_ns is None:
                raise CorruptPayload("side view: HEVC decoder showed a frame that was not sent")
            if getattr(frame, "is_corrupt", False):
                raise CorruptPayload("side view: HEVC frame is damaged")
            # 4:2:0 needs even sides: a sender pads an odd one by a row or column, which we take off again.
            if (frame.height - self._height) not in (0, self._height % 2) or (
                frame.width - self._width
            ) not in (0, self._width % 2):
                _check_size((frame.height, frame.width), self._height, self._width)
            image = frame.to_ndarray(format="rgb24")[: self._height, : self._width]
            views.append(SideView(capture_ns, np.ascontiguousarray(image), lossy=True))
        return views

    def _open(self) -> Any:
        context = self._av.CodecContext.create("hevc", "r")
        largest = (self._height + _HEVC_BLOCK) * (self._width + _HEVC_BLOCK)
        # The second line of defence behind `hevc_sizes`: libavcodec refuses to allocate larger pictures.
        context.options = {"max_pixels": str(largest)}
        context.thread_count = 1
        context.thread_type = "SLICE"  # frame threads would hold frames back
        context.flags |= int(self._av.codec.context.Flags.low_delay)
        return context

    def _reset(self) -> None:
        self._context = None
        self._waiting.clear()
        self._last_seq = -1
