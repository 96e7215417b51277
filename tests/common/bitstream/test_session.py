"""Session facts: what they allow, what the checksum sees, how frames map to latents."""

from __future__ import annotations

import pytest

from common.bitstream.session import SessionFacts
from common.errors import FrameSizeError

BUNDLE = bytes(range(8))


@pytest.mark.parametrize(("height", "width"), [(63, 64), (64, 63), (4097, 64), (64, 4097), (0, 0), (-1, 64)])
def test_sizes_out_of_bounds_are_refused(height: int, width: int):
    with pytest.raises(FrameSizeError, match=f"{height}x{width}"):
        SessionFacts(BUNDLE, height, width)


@pytest.mark.parametrize("bundle", [b"", b"1234567", b"123456789"])
def test_a_bundle_id_has_eight_bytes(bundle: bytes):
    with pytest.raises(ValueError, match="8 bytes"):
        SessionFacts(bundle, 64, 64)


def test_the_checksum_starts_with_bundle_height_width():
    assert SessionFacts(BUNDLE, 375, 1242).checksum_prefix() == BUNDLE + b"\x77\x01\xda\x04"
