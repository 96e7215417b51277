"""The shared types: numbers on the wire stay put, frames are immutable."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.types import SideCodec, SideState, StereoFrame


def test_side_codec_numbers_are_those_of_the_wire():
    assert {c.name: c.value for c in SideCodec} == {"WEBP_LOSSLESS": 1, "JPEG": 2, "HEVC": 3}


def test_side_states_are_plain_words():
    assert [s.value for s in SideState] == ["exact", "stale", "missing"]
    assert SideState("stale") is SideState.STALE


def test_a_frame_cannot_be_changed():
    frame = StereoFrame(0, 1, np.zeros((2, 2, 3), np.uint8), None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.seq = 2  # type: ignore[misc]


def test_frames_with_images_can_be_compared_and_hashed():
    image = np.zeros((2, 2, 3), np.uint8)
    one, two = StereoFrame(0, 1, image, None), StereoFrame(0, 1, image, None)
    assert one == one  # by identity: comparing arrays would have no truth value
    assert one != two
    assert len({one, two}) == 2
