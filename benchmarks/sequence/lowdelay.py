"""HEVC and AV1 as a rig owner would run them: low delay, one intra frame, then P frames, nothing held back.

No B-frames, no lookahead: every frame leaves the encoder before the next one enters, in order, which `encode`
checks. Rates count what `benchmarks.rd.codecs` counts: slice NAL units and frame OBUs; parameter sets, sequence
headers and delimiters are left out, so the doubt is to their advantage.

- HEVC: x265, preset medium, tune zerolatency, fixed QP.
- AV1: SVT-AV1, preset 5, low-delay prediction structure, CRF. CRFs above 63 are SVT-AV1's own extension
  beyond the largest base quantizer; without them AV1 would start at 100 kb/s a camera on KITTI.
- AV1 at half size: the same on pictures shrunk to half by area and enlarged again bicubically: what is left to
  a rig owner whose link is narrower than the lowest rate at full size.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np

from benchmarks.rd.codecs import Rungs, from_i420, has_encoder, i420, nal_units, obus
from benchmarks.sequence.clip import RATE_HZ
from cloud.restoration.degrade import ordinary_priority
from common.errors import CorruptPayload, MdicError, MissingDependency, UsageError
from common.types import RgbImage

Progress = Callable[[int], Any]


@dataclass(frozen=True)
class CodedVideo:
    """Hold a coded view.

    Attributes:
        packets: what the encoder gave for each frame.
        counted: the bytes of each that count for the rate.
    """

    packets: Sequence[bytes]
    counted: Sequence[int]

    @property
    def bytes_a_frame(self) -> float:
        """Return the mean over all frames, the intra frame among them."""
        return sum(self.counted) / len(self.counted)

    @property
    def kbps(self) -> float:
        """Return kilobits (of 1000) a second at 10 frames a second."""
        return kbps(self.bytes_a_frame)


def kbps(bytes_a_frame: float) -> float:
    """Return kilobits (of 1000 bits) a second at `RATE_HZ`."""
    return bytes_a_frame * 8 * RATE_HZ / 1000


class LowDelayCodec(Rungs, Protocol):
    """A conventional video codec in its low-delay mode; a larger setting means fewer bits."""

    @property
    def coarsest(self) -> int:
        """Return the largest setting."""
        ...

    def encode(
        self, images: Sequence[RgbImage], setting: int, progress: Progress | None = None
    ) -> CodedVideo:
        """Code (H, W, 3) uint8 RGB frames of one size."""
        ...

    def decode(self, coded: CodedVideo, height: int, width: int) -> Iterator[RgbImage]:
        """Yield the frames in order, each (height, width, 3) uint8 RGB."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what the bytes depend on besides pictures and setting."""
        ...


class HevcLowDelay:
    """HEVC at a fixed QP."""

    name, label = "hevc", "HEVC low delay"
    ladder = (51, 48, 46, 43)
    coarsest = 51

    def encode(
        self, images: Sequence[RgbImage], setting: int, progress: Progress | None = None
    ) -> CodedVideo:
        """Code frames with x265."""
        params = f"qp={setting}:{self._params()}"
        options = {"preset": "medium", "tune": "zerolatency", "x265-params": params}
        packets = _encode("libx265", options, images, progress)
        return CodedVideo(packets, [sum(s for k, s in nal_units(p) if k < 32) for p in packets])

    def decode(self, coded: CodedVideo, height: int, width: int) -> Iterator[RgbImage]:
        """Yield the frames."""
        yield from _decode(("hevc",), coded.packets, height, width)

    def facts(self) -> dict[str, Any]:
        """Return the encoder's options and version."""
        return {"encoder": "libx265", "preset": "medium", "params": self._params(), "av": _version()}

    @staticmethod
    def _params() -> str:
        return "keyint=-1:bframes=0:rc-lookahead=0:info=0:log-level=none:pools=1:frame-threads=1"


class Av1LowDelay:
    """AV1 at a CRF."""

    name, label = "av1", "AV1 low delay"
    ladder = (70, 68, 66, 64, 62, 60)
    coarsest = 70

    def encode(
        self, images: Sequence[RgbImage], setting: int, progress: Progress | None = None
    ) -> CodedVideo:
        """Code frames with SVT-AV1."""
        os.environ.setdefault("SVT_LOG", "1")  # the library prints its banner to stderr otherwise
        options = {"preset": "5", "svtav1-params": f"{self._params()}:crf={setting}"}
        with ordinary_priority():
            packets = _encode("libsvtav1", options, images, progress)
        return CodedVideo(packets, [sum(s for k, s in obus(p) if k in (3, 4, 6)) for p in packets])

    def decode(self, coded: CodedVideo, height: int, width: int) -> Iterator[RgbImage]:
        """Yield the frames."""
        yield from _decode(("libdav1d", "av1"), coded.packets, height, width)

    def facts(self) -> dict[str, Any]:
        """Return the encoder's options and version."""
        return {"encoder": "libsvtav1", "preset": "5", "params": self._params(), "av": _version()}

    @staticmethod
    def _params() -> str:
        return "lp=1:pred-struct=1:lookahead=0:keyint=-1"


class HalfSize:
    """Another codec on pictures of half the height and width."""

    def __init__(self, inner: LowDelayCodec, ladder: tuple[int, ...]) -> None:
        self.name, self.label = f"{inner.name}-half", f"{inner.label}, half size"
        self.ladder, self.coarsest, self._inner = ladder, inner.coarsest, inner

    def encode(
        self, images: Sequence[RgbImage], setting: int, progress: Progress | None = None
    ) -> CodedVideo:
        """Shrink and code."""
        height, width = images[0].shape[:2]
        size = (-(-width // 2), -(-height // 2))
        small = [np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.uint8) for x in images]
        return self._inner.encode(small, setting, progress)

    def decode(self, coded: CodedVideo, height: int, width: int) -> Iterator[RgbImage]:
        """Decode and enlarge."""
        for image in self._inner.decode(coded, -(-height // 2), -(-width // 2)):
            yield np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)

    def facts(self) -> dict[str, Any]:
        """Return the inner codec's facts and the scaling."""
        return self._inner.facts() | {"scale": "half, area down, bicubic up"}


CODECS: dict[str, LowDelayCodec] = {
    codec.name: codec
    for codec in (Av1LowDelay(), HalfSize(Av1LowDelay(), (70, 67, 64, 61, 56, 49)), HevcLowDelay())
}


def codec_named(name: str) -> LowDelayCodec:
    """Return a low-delay codec.

    Raises:
        UsageError: no codec has that name.
    """
    if name not in CODECS:
        raise UsageError(f"unknown low-delay codec {name!r} (known: {', '.join(CODECS)})")
    return CODECS[name]


# --- PyAV ---------------------------------------------------------------------------------------------------


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingDependency("av", "bench") from error
    return av


def _version() -> str:
    av = _av()
    return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def _encode(
    name: str, options: dict[str, str], images: Sequence[RgbImage], progress: Progress | None
) -> list[bytes]:
    """Return a packet for each frame.

    Raises:
        MissingDependency: PyAV was built without the encoder.
        MdicError: the encoder held a frame back, reordered, or put in a second intra frame.
    """
    av = _av()
    if not has_encoder(name):
        raise MissingDependency(f"the encoder {name} (a PyAV built with it)", "bench")
    first = i420(images[0])
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = first.shape[1], first.shape[0] * 2 // 3, "yuv420p"
    context.time_base, context.framerate = Fraction(1, round(RATE_HZ)), Fraction(round(RATE_HZ))
    context.options = options
    packets: list[bytes] = []
    for index, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(first if index == 0 else i420(image), format="yuv420p")
        frame.pts = index
        for packet in context.encode(frame):
            if packet.pts != len(packets) or bool(packet.is_keyframe) != (not packets):
                raise MdicError(f"{name} is not in its low-delay mode: packet {len(packets)} out of order")
            packets.append(bytes(packet))
        if len(packets) != index + 1:
            raise MdicError(f"{name} is not in its low-delay mode: {len(packets)} packets at frame {index}")
        if progress:
            progress(1)
    context.encode(None)
    return packets


def _decode(names: tuple[str, ...], packets: Sequence[bytes], height: int, width: int) -> Iterator[RgbImage]:
    """Yield frames as the first decoder of `names` that is there gives them."""
    av = _av()
    context = None
    for name in names:
        with contextlib.suppress(ValueError):
            context = av.CodecContext.create(name, "r")
            break
    if context is None:
        raise MissingDependency(f"a decoder for {names[-1]} (a PyAV built with it)", "bench")
    context.thread_count = 1  # many streams are decoded in lock-step; threads would only hold frames back
    count = 0
    for packet in [*packets, None]:
        for frame in context.decode(av.Packet(packet) if packet is not None else None):
            count += 1
            yield from_i420(np.asarray(frame.to_ndarray(format="yuv420p")), height, width)
    if count != len(packets):
        raise CorruptPayload(f"{names[0]} gave {count} pictures for {len(packets)} packets")
