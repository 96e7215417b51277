from __future__ import annotations

from itertools import islice

import numpy as np

from edge.camera import open_camera


def test_seed_size_rate_and_limit() -> None:
    camera = open_camera("synthetic:3:64x128", fps=20, limit=2)
    frames = list(camera.frames())
    assert camera.fps == 20 and [f.seq for f in frames] == [0, 1]
    assert frames[0].main is not None and frames[0].main.shape == (64, 128, 3)
    assert frames[1].capture_ns - frames[0].capture_ns == 50_000_000


def test_two_processes_see_the_same() -> None:
    a, b = (next(open_camera("synthetic:5:64x64").frames()) for _ in range(2))
    assert a.main is not None and b.main is not None
    assert np.array_equal(a.main, b.main) and a.capture_ns == b.capture_ns


def test_it_does_not_end_by_itself() -> None:
    assert [f.seq for f in islice(open_camera("synthetic:0:64x64").frames(), 3)] == [0, 1, 2]


def test_from_a_frame_on() -> None:
    (whole,) = islice(open_camera("synthetic:3:64x96", limit=3).frames(), 2, 3)
    (frame,) = open_camera("synthetic:3:64x96", limit=3).frames(2)
    assert (frame.seq, frame.capture_ns) == (2, whole.capture_ns)
    assert np.array_equal(frame.main, whole.main)
    assert next(open_camera("synthetic:3:64x96").frames(5)).seq == 5
