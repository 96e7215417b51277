from __future__ import annotations

import numpy as np
import pytest

from common.errors import CameraError
from edge.camera.layout import PictureLayout, parse_layout, split


def test_odd_widths_lose_their_last_column() -> None:
    picture = np.arange(2 * 7 * 3, dtype=np.uint8).reshape(2, 7, 3)
    main, side = split(picture, PictureLayout.SIDE_BY_SIDE)
    assert side is not None and main.shape == side.shape == (2, 3, 3)
    assert np.array_equal(side, picture[:, 3:6]) and side.flags.c_contiguous and main.flags.c_contiguous


def test_mono_has_no_side() -> None:
    picture = np.zeros((2, 7, 3), np.uint8)
    main, side = split(picture, PictureLayout.MONO)
    assert side is None and main.shape == (2, 7, 3)


def test_names() -> None:
    assert parse_layout("video:x", "sbs") is PictureLayout.SIDE_BY_SIDE
    with pytest.raises(CameraError, match=r"camera video:x: unknown layout 'top' .known: sbs, mono"):
        parse_layout("video:x", "top")
