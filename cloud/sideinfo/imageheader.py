"""Frame sizes read from the headers of JPEG and WebP images and of HEVC streams, without decoding them.

A side view's size is checked against what the session announced before any decoder sees the bytes: a few
hundred bytes can announce a picture of gigabytes.
"""

from __future__ import annotations

from common.errors import CorruptPayload, Truncated

_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset(range(0xD0, 0xD8)) | {0x01}
_HEVC_SPS = 33
_MAX_SPS_BYTES = 4096


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a JPEG image from its frame header.

    Raises:
        CorruptPayload: the bytes are no JPEG image.
        Truncated: they end before the frame header.
    """
    if data[:2] != b"\xff\xd8":
        raise CorruptPayload(f"side view is no JPEG image: starts with {data[:4]!r}")
    at = 2
    while at + 4 <= len(data):
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
        if length < 2 or marker == 0xDA:
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
    """Return (height, width) of a WebP still image from its first chunk.

    Raises:
        CorruptPayload: the bytes are no WebP image, or an animation.
        Truncated: they end before the size.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise CorruptPayload(f"side view is no WebP image: starts with {data[:4]!r}")
    if len(data) < 30:
        raise Truncated(30, len(data))
    chunk = data[12:16]
    if chunk == b"VP8L":
        if data[20] != 0x2F:
            raise CorruptPayload(f"side view: WebP lossless signature 0x{data[20]:02x} instead of 0x2f")
        bits = int.from_bytes(data[21:25], "little")
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise CorruptPayload("side view: WebP lossy frame without its start code")
        return int.from_bytes(data[28:30], "little") & 0x3FFF, int.from_bytes(data[26:28], "little") & 0x3FFF
    if chunk == b"VP8X":
        if data[20] & 0x02:
            raise CorruptPayload("side view: animated WebP")
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    raise CorruptPayload(f"side view: unknown WebP chunk {chunk!r}")


def hevc_sizes(data: bytes) -> list[tuple[int, int]]:
    """Return the coded (height, width) of each sequence parameter set in Annex B bytes, in order.

    The coded size is the picture before cropping, so up to one coding block larger than what comes out.

    Raises:
        CorruptPayload: the bytes have no start code, or a parameter set breaks the syntax (H.265, 7.3.2.2).
    """
    starts = []
    at = data.find(b"\x00\x00\x01")
    if at not in (0, 1):
        raise CorruptPayload(f"side view is no HEVC byte stream: starts with {data[:4]!r}")
    while at >= 0:
        starts.append(at + 3)
        at = data.find(b"\x00\x00\x01", at + 3)
    sizes = []
    for start, end in zip(starts, [*starts[1:], len(data) + 3], strict=True):
        if start < len(data) and (data[start] >> 1) & 0x3F == _HEVC_SPS:
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
