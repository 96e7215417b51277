"""The comparison video: captioned panels below each other, one frame each, complete or not there."""

import numpy as np
import pytest

from benchmarks.sequence.movie import CAPTION_PX, Movie, stack

av = pytest.importorskip("av", reason="av (extra bench) is not installed")


def panels(level):
    return [
        ("one", np.full((51, 101, 3), level, np.uint8)),
        ("zwei ö", np.full((51, 101, 3), 255 - level, np.uint8)),
    ]


def test_panels_are_stacked_and_padded_to_even_sizes():
    picture = stack(panels(10))
    assert picture.shape == (2 * (51 + CAPTION_PX), 102, 3)
    assert (picture[CAPTION_PX : CAPTION_PX + 51] == 10).all()
    assert picture[:CAPTION_PX].min() < 100  # there is ink


def test_frames_are_written_in_order(tmp_path):
    path = tmp_path / "new" / "m.mp4"
    movie = Movie(path, 51, 101, 2)
    for level in (20, 120, 220):
        movie.write(panels(level))
    assert not path.exists()
    movie.close()
    with av.open(str(path)) as container:
        assert float(container.streams.video[0].average_rate) == 10
        shown = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert [round(float(f[40:60, 20:80].mean()), -1) for f in shown] == [20, 120, 220]


def test_an_abandoned_video_leaves_nothing(tmp_path):
    movie = Movie(tmp_path / "m.mp4", 51, 101, 2)
    movie.write(panels(10))
    movie.abandon()
    assert list(tmp_path.iterdir()) == []
