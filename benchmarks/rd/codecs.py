"""The conventional codecs, each with a ladder of settings; rates are raw payload bytes.

What counts as payload is what a stream would have to send for every frame: coded picture data, without the
parts that are the same for every frame of a session (containers, sequence headers, standard tables). Our
own packets are counted whole, their header included, so the doubt is always to the others' advantage. Per
codec:

- JPEG (Pillow, 4:2:0): the entropy-coded scan; with optimised Huffman tables when scan plus tables is
  smaller.
- WebP (Pillow, method 6): the `VP8 ` chunk, without RIFF and chunk headers (20 bytes).
- JPEG XL (libjxl, effort 7): the bare codestream, no container.
- HEVC intra (x265, preset slow): the slice NAL units, without start codes, VPS, SPS, PPS and SEI.
- AV1 intra (SVT-AV1, preset 2): the frame OBUs, without temporal delimiter and sequence header.

HEVC and AV1 get 8-bit 4:2:0 full-range BT.601 pictures, odd sizes padded by one row or column and cut back.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cloud.restoration.degrade import ordinary_priority
from common.errors import CorruptPayload, MissingDependency, UsageError
from common.types import RgbImage


@dataclass(frozen=True, eq=False)
class Coded:
    """Hold what a codec made of one picture.

    Attributes:
        payload_bytes: bytes that count for the rate.
        image: (H, W, 3) uint8 RGB, decoded from those bytes.
    """

    payload_bytes: int
    image: RgbImage


class Rungs(Protocol):
    """What every conventional coder, of pictures or video, says of itself."""

    @property
    def name(self) -> str:
        """Return its name on the command line."""
        ...

    @property
    def label(self) -> str:
        """Return its name for readers."""
        ...

    @property
    def ladder(self) -> tuple[int, ...]:
        """Return the settings to try."""
        ...


class Codec(Rungs, Protocol):
    """A conventional still-picture coder."""

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode and decode one (H, W, 3) uint8 RGB picture at one rung of the ladder."""
        ...


class Jpeg:
    """JPEG at Pillow's quality numbers."""

    name, label = "jpeg", "JPEG"
    ladder = (1, 3, 5, 8, 12)

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode with standard and with optimised Huffman tables and count the smaller payload."""
        plain = _pillow_bytes(image, "JPEG", quality=setting, optimize=False)
        fitted = _pillow_bytes(image, "JPEG", quality=setting, optimize=True)
        payload = min(jpeg_payload_bytes(plain, tables=False), jpeg_payload_bytes(fitted, tables=True))
        return Coded(payload, _pillow_image(plain))


class WebP:
    """Lossy WebP."""

    name, label = "webp", "WebP"
    ladder = (0, 1, 3, 8, 15)

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode with Pillow at its slowest method."""
        data = _pillow_bytes(image, "WEBP", quality=setting, method=6)
        return Coded(webp_payload_bytes(data), _pillow_image(data))


class JpegXl:
    """Lossy JPEG XL; the setting is the encoder's quality (0 is Butteraugli distance 25)."""

    name, label = "jxl", "JPEG XL"
    ladder = (0, 5, 10, 20, 35)

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode a bare codestream with pillow-jxl-plugin."""
        try:
            import pillow_jxl  # noqa: F401  (registers the format)
        except ImportError as error:
            raise MissingDependency("pillow-jxl-plugin", "bench") from error
        data = _pillow_bytes(image, "JXL", quality=setting, effort=7, num_threads=1)
        return Coded(len(data), _pillow_image(data))


class HevcIntra:
    """One HEVC key frame at a fixed QP."""

    name, label = "hevc", "HEVC intra"
    ladder = (51, 49, 47, 44, 41, 38)

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode with x265 and count the slice NAL units."""
        params = f"qp={setting}:keyint=1:info=0:log-level=none:pools=1:frame-threads=1"
        data = _video_encode("libx265", i420(image), {"preset": "slow", "x265-params": params})
        payload = sum(size for kind, size in nal_units(data) if kind < 32)
        return Coded(payload, from_i420(_video_decode(("hevc",), data), *image.shape[:2]))


class Av1Intra:
    """One AV1 key frame at a fixed CRF."""

    name, label = "av1", "AV1 intra"
    ladder = (63, 61, 58, 53, 46)

    def code(self, image: RgbImage, setting: int) -> Coded:
        """Encode with SVT-AV1 (libaom where that is what PyAV has) and count the frame OBUs."""
        frame = i420(image)
        if has_encoder("libsvtav1"):
            os.environ.setdefault("SVT_LOG", "1")  # the library prints its banner to stderr otherwise
            options = {"preset": "2", "crf": str(setting), "svtav1-params": "lp=1"}
            with ordinary_priority():
                data = _video_encode("libsvtav1", frame, options)
        else:
            options = {"cpu-used": "3", "crf": str(setting), "b": "0", "still-picture": "1"}
            data = _video_encode("libaom-av1", frame, options)
        payload = sum(size for kind, size in obus(data) if kind in (3, 4, 6))
        return Coded(payload, from_i420(_video_decode(("libdav1d", "av1"), data), *image.shape[:2]))


CODECS: dict[str, Codec] = {
    codec.name: codec for codec in (Jpeg(), WebP(), JpegXl(), HevcIntra(), Av1Intra())
}


def codec_named(name: str) -> Codec:
    """Return a conventional codec.

    Raises:
        UsageError: no codec has that name.
    """
    if name not in CODECS:
        raise UsageError(f"unknown codec {name!r} (known: mdic, mdic-noside, {', '.join(CODECS)})")
    return CODECS[name]


# --- what counts --------------------------------------------------------------------------------------------


def jpeg_payload_bytes(data: bytes, tables: bool) -> int:
    """Return the bytes of the entropy-coded scans of a JPEG file, with its DHT segments when `tables`."""
    at, total = 2, 0
    while at + 4 <= len(data):
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if data[at] != 0xFF:
            raise CorruptPayload(f"JPEG marker expected at byte {at}")
        if marker == 0xD9:
            break
        at += 2 + length
        if marker == 0xC4 and tables:
            total += 2 + length
        if marker == 0xDA:
            start = at
            while at + 1 < len(data) and not (
                data[at] == 0xFF and data[at + 1] not in (0, *range(0xD0, 0xD8))
            ):
                at += 1
            total += at - start
            if data[at + 1] == 0xD9:
                break
    return total


def webp_payload_bytes(data: bytes) -> int:
    """Return the bytes inside the picture chunks of a WebP file."""
    at, total = 12, 0
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] in (b"VP8 ", b"VP8L", b"ALPH"):
            total += size
        at += 8 + size + size % 2
    return total


def nal_units(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (HEVC type, size in bytes without start code) of each NAL unit of an Annex B stream."""
    starts, at = [], data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        unit = data[start + 3 : end].rstrip(b"\0")  # a zero before the next start code belongs to it
        if unit:
            yield unit[0] >> 1 & 0x3F, len(unit)


def obus(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (type, size in bytes with header) of each OBU of an AV1 stream in low-overhead format."""
    at = 0
    while at < len(data):
        head = data[at]
        kind, cursor = head >> 3 & 15, at + (2 if head & 4 else 1)
        size, shift = 0, 0
        if head & 2:
            while True:
                if cursor >= len(data) or shift > 49:
                    raise CorruptPayload(f"AV1 OBU at byte {at} has no valid size")
                size |= (data[cursor] & 0x7F) << shift
                shift += 7
                cursor += 1
                if data[cursor - 1] < 0x80:
                    break
        else:
            size = len(data) - cursor
        yield kind, cursor + size - at
        at = cursor + size


# --- Pillow and PyAV ----------------------------------------------------------------------------------------


def _pillow_bytes(image: RgbImage, file_format: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format, **options)
    return buffer.getvalue()


def _pillow_image(data: bytes) -> RgbImage:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def i420(image: RgbImage) -> NDArray[np.uint8]:
    """Return (H * 3 / 2, W) planar 4:2:0, full range, H and W made even by repeating the edge."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    luma, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    half = (width // 2, height // 2)
    chroma = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA).reshape(-1) for plane in (blue, red)]
    return np.concatenate([luma.reshape(-1), *chroma]).reshape(height * 3 // 2, width)


def from_i420(planes: NDArray[np.uint8], height: int, width: int) -> RgbImage:
    """Undo `i420`: (H, W, 3) uint8 RGB of the size asked for."""
    rows, columns = planes.shape[0] * 2 // 3, planes.shape[1]
    flat, area = planes.reshape(-1), rows * columns
    luma = flat[:area].reshape(rows, columns)
    blue, red = flat[area : area * 5 // 4], flat[area * 5 // 4 :]
    large_blue, large_red = (
        cv2.resize(x.reshape(rows // 2, columns // 2), (columns, rows), interpolation=cv2.INTER_LINEAR)
        for x in (blue, red)
    )
    rgb = cv2.cvtColor(cv2.merge([luma, large_red, large_blue]), cv2.COLOR_YCrCb2RGB)
    return np.ascontiguousarray(rgb[:height, :width])


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingDependency("av", "bench") from error
    return av


def has_encoder(name: str) -> bool:
    """Tell whether this PyAV was built with an encoder."""
    av = _av()
    try:
        av.Codec(name, "w")
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True


def _video_encode(name: str, frame: NDArray[np.uint8], options: dict[str, str]) -> bytes:
    """Return the packets of one (H * 3 / 2, W) yuv420p frame."""
    av = _av()
    if not has_encoder(name):
        raise MissingDependency(f"the encoder {name} (a PyAV built with it)", "bench")
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = frame.shape[1], frame.shape[0] * 2 // 3, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), Fraction(10)
    context.options = options
    picture = av.VideoFrame.from_ndarray(frame, format="yuv420p")
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])


def _video_decode(names: tuple[str, ...], data: bytes) -> NDArray[np.uint8]:
    """Return the first frame as (H * 3 / 2, W) yuv420p, decoded by the first of `names` that is there."""
    av = _av()
    for name in names:
        try:
            context = av.CodecContext.create(name, "r")
        except ValueError:
            continue
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        if not frames:
            raise CorruptPayload(f"{name} gave no picture for {len(data)} bytes")
        return np.asarray(frames[0].to_ndarray(format="yuv420p"))
    raise MissingDependency(f"a decoder for {names[-1]} (a PyAV built with it)", "bench")
