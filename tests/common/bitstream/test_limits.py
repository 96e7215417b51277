"""The limits are those of the specification."""

from __future__ import annotations

from common.bitstream.limits import DEFAULT_LIMITS, MAX_QUALITY, MAX_SIDE, MIN_SIDE


def test_the_values_of_section_8():
    assert (MIN_SIDE, MAX_SIDE, MAX_QUALITY) == (64, 4096, 7)
    assert DEFAULT_LIMITS.packet_bytes == 1_048_576
    assert DEFAULT_LIMITS.sections == 64
