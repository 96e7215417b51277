"""Frame sizes read from the headers of JPEG and WebP images and of HEVC streams, without decoding them.

A side view's size is checked against what the session announced before any decoder sees the bytes: a few
hundred bytes can announce a picture of gigabytes.
"""

from __future__ import annotations

from common.errors import CorruptPayload, Truncated

_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset(range(0xD0, 0xD8)) | {0x01}
_MAX_JPEG_MARKERS = 1024
"""Markers and fill bytes before the frame header; without a bound 16 MiB of them cost seconds."""
_JPEG_SEGMENT_MARKERS = frozenset(range(0xC0, 0xD0)) | frozenset(range(0xE0, 0xF0)) | {0xDB, 0xDC, 0xDD, 0xFE}
_MAX_JPEG_SCANS = 64
"""A progressive image has about ten; each costs a pass over the whole picture, however few bytes it has."""
_WEBP_PASSED = frozenset({b"ICCP", b"ALPH", b"EXIF", b"XMP "})
_MAX_WEBP_CHUNKS = 16
_HEVC_SPS = 33
_MAX_SPS = 16
"""As many as a stream can tell apart (H.265, 7.4.3.2.1)."""
_MAX_SPS_BYTES = 4096
_MAX_NAL_UNITS = 1024
"""In one access unit: 600 slices at the highest level, parameter sets and messages beside them."""


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a JPEG image from its frame header.

    Raises:
        CorruptPayload: the bytes are no JPEG image, or one of too many scans.
        Truncated: they end before the frame header.
    """
    if data[:2] != b"\xff\xd8":
        raise CorruptPayload(f"side view is no JPEG image: starts with {data[:4]!r}")
    # Inside coded data 0xff is never followed by 0xda, so this counts scans (and those of a thumbnail).
    if data.count(b"\xff\xda") > _MAX_JPEG_SCANS:
        raise CorruptPayload(f"side view: JPEG image of more than {_MAX_JPEG_SCANS} scans")
    at, markers = 2, 0
    while at + 4 <= len(data):
        markers += 1
        if markers > _MAX_JPEG_MARKERS:
            raise CorruptPayload(f"side view: {_MAX_JPEG_MARKERS} JPEG markers without a frame header")
        if data[at] != 0xFF:
            raise CorruptPayload(f"side view: JPEG marker expected at byte {at}, found 0x{data[at]:02x}")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_BARE_MARKERS:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        # What is no segment must not be passed over like one: a decoder would find another header inside.
        if length < 2 or marker not in _JPEG_SEGMENT_MARKERS:
            break
        if marker in _JPEG_SIZE_MARKERS:
            if at + 9 > len(data):
                raise Truncated(at + 9, len(data))
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 + length
    if at + 4 > len(data):
        raise Truncated(at + 9, len(data))
    raise CorruptPayload("side view: JPEG image without a frame header")


def webp_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a WebP still image from the header of the image itself.

    Raises:
        CorruptPayload: the bytes are no WebP image, an animation, or a canvas of another size than its image.
        Truncated: they end before the size.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise CorruptPayload(f"side view is no WebP image: starts with {data[:4]!r}")
    if len(data) < 30:
        raise Truncated(30, len(data))
    if data[12:16] != b"VP8X":
        return _webp_image_size(data, 12)
    if data[20] & 0x02:
        raise CorruptPayload("side view: animated WebP")
    canvas = int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    image = _webp_image_size(data, _webp_image_at(data))
    if image != canvas:
        raise CorruptPayload(
            f"side view: WebP canvas of {canvas[0]}x{canvas[1]} around an image of {image[0]}x{image[1]}"
        )
    return image


def _webp_image_at(data: bytes) -> int:
    """Return where the image's chunk begins."""
    if data[12:16] != b"VP8X":
        return 12
    at = 20 + int.from_bytes(data[16:20], "little")
    for _ in range(_MAX_WEBP_CHUNKS):
        if data[at : at + 4] not in _WEBP_PASSED:
            break
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return at


def _webp_image_size(data: bytes, at: int) -> tuple[int, int]:
    """Return (height, width) of the image in the chunk at byte `at`."""
    chunk, body = data[at : at + 4], data[at + 8 : at + 18]
    if len(body) < 10:
        raise Truncated(at + 18, len(data))
    if chunk == b"VP8L":
        if body[0] != 0x2F:
            raise CorruptPayload(f"side view: WebP lossless signature 0x{body[0]:02x} instead of 0x2f")
        bits = int.from_bytes(body[1:5], "little")
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8 ":
        if body[3:6] != b"\x9d\x01\x2a":
            raise CorruptPayload("side view: WebP lossy frame without its start code")
        return int.from_bytes(body[8:10], "little") & 0x3FFF, int.from_bytes(body[6:8], "little") & 0x3FFF
    raise CorruptPayload(f"side view: unknown WebP chunk {chunk!r}")


def image_is_lossy(data: bytes) -> bool:
    """Tell whether the bytes of a still image are JPEG or lossy WebP; anything else counts as lossless."""
    if data[:3] == b"\xff\xd8\xff":
        return True
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return False
    at = _webp_image_at(data)
    return data[at : at + 4] == b"VP8 "


def hevc_sizes(data: bytes) -> list[tuple[int, int]]:
    """Return the coded (height, width) of each sequence parameter set in Annex B bytes, in order.

    The coded size is the picture before cropping, so up to one coding block larger than what comes out.

    Raises:
        CorruptPayload: the bytes have no start code, more units or parameter sets than a picture can have,
            or a parameter set breaks the syntax (H.265, 7.3.2.2).
    """
    starts = []
    at = data.find(b"\x00\x00\x01")
    if at not in (0, 1):
        raise CorruptPayload(f"side view is no HEVC byte stream: starts with {data[:4]!r}")
    while at >= 0:
        starts.append(at + 3)
        if len(starts) > _MAX_NAL_UNITS:
            raise CorruptPayload(f"side view: more than {_MAX_NAL_UNITS} HEVC units in one frame")
        at = data.find(b"\x00\x00\x01", at + 3)
    sizes: list[tuple[int, int]] = []
    for start, end in zip(starts, [*starts[1:], len(data) + 3], strict=True):
        if start < len(data) and (data[start] >> 1) & 0x3F == _HEVC_SPS:
            if len(sizes) >= _MAX_SPS:
                raise CorruptPayload(f"side view: more than {_MAX_SPS} HEVC parameter sets in one frame")
            sizes.append(_sps_size(data[start + 2 : min(end - 3, start + _MAX_SPS_BYTES)]))
    return sizes


def _sps_size(rbsp: bytes) -> tuple[int, int]:
    """Read one sequence parameter set up to its picture size (H.265, 7.3.2.2.1)."""
    bits = _Bits(rbsp.replace(b"\x00\x00\x03", b"\x00\x00"))
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1)
    bits.take(88)  # general profile, tier, constraint flags
    bits.take(8)  # general level
    present = [(bits.take(1), bits.take(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits.take(1)
    width, height = bits.golomb(), bits.golomb()
    return height, width


class _Bits:
    """Read bits and Exp-Golomb numbers, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise CorruptPayload("side view: HEVC parameter set ends early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise CorruptPayload("side view: HEVC parameter set holds a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)
