"""Fuzz the readers of side view sizes, which stand before any image decoder."""

from __future__ import annotations

import harness

with harness.instrumented():
    from cloud.sideinfo.imageheader import hevc_sizes, jpeg_size, webp_size
    from common.errors import MdicError

NAME = "imageheader"
JPEG, WEBP, HEVC = range(3)
LARGEST = (1 << 16, 1 << 24, 1 << 32)


def run(data: bytes) -> bool:
    """Read `data` as the codec that its first byte names; True when a size was found."""
    if not data:
        return False
    kind, rest = data[0] % 3, data[1:]
    try:
        sizes = [jpeg_size(rest)] if kind == JPEG else [webp_size(rest)] if kind == WEBP else hevc_sizes(rest)
    except MdicError:
        return False
    assert all(0 <= side <= LARGEST[kind] for size in sizes for side in size)
    return bool(sizes)


if __name__ == "__main__":
    harness.main(NAME, run)
